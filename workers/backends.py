"""The choice of each model's backend: the fastest correct one, by measurement.

A backend must compute the same picture as ONNX Runtime in float32, because some processors and
libraries compute wrong results in low precision. One that does not is refused with the reason, and
the next best runs.
"""

from __future__ import annotations

import functools
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from models.catalog import CatalogError, ModelEntry, Precision, one_line_reason
from models.geometry import axis_grid
from workers.cache_files import UNREADABLE, Facts, file_name, read_cached, versions, write_cached
from workers.machine import machine_facts
from workers.runtimes import openvino
from workers.runtimes.adapter import AdapterSession
from workers.runtimes.base import FloatArray, RuntimeMissing, Session
from workers.runtimes.onnx import CPU_PROVIDERS, CUDA_PROVIDERS, OnnxSession
from workers.runtimes.torchscript import TorchScriptSession
from workers.settings import Device, Runtime, WorkerSettings

log = logging.getLogger("anysr.workers.backends")

CHECKED = (48, 64, 2.37)
"""Height, width and scale of the picture that backends are compared on."""
TIMED = 48
"""Side in input pixels of the picture that they are timed on, at x2."""
ROUNDS = 2
WORTHWHILE = 0.8
"""Part of float32's time below which lower precision is worth its loss of quality."""

FORMAT = 1
"""Raised when the same facts imply another choice."""
LIBRARIES = ("anysr-serve", "numpy", "onnxruntime", "openvino")


@dataclass(frozen=True)
class Backend:
    """A runtime, and the precision that it computes trunks in."""

    runtime: Runtime
    precision: Precision = Precision.FLOAT32

    def __str__(self) -> str:
        return f"{self.runtime.value} {self.precision.value}"


REFERENCE = Backend(Runtime.ONNX)
"""Runs every model; others are compared with it."""
OPENVINO_FLOAT32 = Backend(Runtime.OPENVINO)


@dataclass(frozen=True)
class Agreement:
    """Largest allowed difference of a picture from float32's."""

    min_db: float
    max_levels: float
    """Levels of 255, at any pixel."""


AGREEMENT = {
    Precision.FLOAT32: Agreement(80.0, 0.25),
    Precision.BFLOAT16: Agreement(60.0, 1.5),
    Precision.INT8: Agreement(46.0, 16.0),
}
"""The loss of int8 itself is measured at export (`Int8Entry`); these detect wrong computations."""


@dataclass(frozen=True)
class Chosen:
    """A model in the backend that runs it."""

    backend: Backend
    session: Session
    refused: Mapping[str, str] = field(default_factory=dict)
    """Reasons why other backends were refused, by backend: wrong or broken."""
    timed: bool = False
    """Whether several backends were timed."""


class Disagreement(Exception):
    """A backend computes another picture than ONNX Runtime in float32."""


def choose(
    folder: Path,
    entry: ModelEntry,
    settings: WorkerSettings,
    previous: Backend | None = None,
    cache: Path | None = None,
) -> Chosen:
    """Return a model in the backend that the settings name, or in the fastest correct one.

    `previous` is the choice of an earlier start, which is checked but not timed again. Runtimes
    cache compiled graphs in the folder `cache`. Raises CatalogError for a model that cannot run
    under the settings, and RuntimeMissing.
    """
    candidates = usable(entry, settings)
    if candidates[0].runtime is not Runtime.OPENVINO:
        return Chosen(candidates[0], session_of(folder, entry, settings, candidates[0]))
    trial = _Trial(folder, entry, settings, cache)
    if previous is not None and previous in candidates:
        trial.admit(previous)
    best = fastest(entry, trial.admitted)
    if best is None:
        for backend in (one for one in candidates if one != OPENVINO_FLOAT32):
            trial.admit(backend)
        best = fastest(entry, trial.admitted)
        # OpenVINO in float32 is never faster than in lower precision, so it is tried last.
        if OPENVINO_FLOAT32 in candidates and (best is None or best.precision is Precision.FLOAT32):
            trial.admit(OPENVINO_FLOAT32)
            best = fastest(entry, trial.admitted)
    best = best or REFERENCE
    session = {REFERENCE: trial.reference, **trial.admitted}[best]
    return Chosen(best, session, trial.refused, timed=len(trial.admitted) > 1)


def usable(entry: ModelEntry, settings: WorkerSettings) -> Sequence[Backend]:
    """Return the backends that the settings allow and that can run a model. A foreign graph runs in
    ONNX Runtime, whatever the settings say of other models."""
    if entry.adapter is not None:
        return [REFERENCE]
    if settings.runtime is Runtime.TORCHSCRIPT:
        return [Backend(Runtime.TORCHSCRIPT)]
    if settings.runtime is Runtime.ONNX or settings.device is Device.CUDA or entry.head is None:
        return [REFERENCE]
    able = [
        Backend(Runtime.OPENVINO, precision)
        for precision in (Precision.INT8, Precision.BFLOAT16, Precision.FLOAT32)
        if settings.only_precision in (None, precision) and _can_run(entry, precision, settings)
    ]
    free = settings.runtime is Runtime.AUTO and (
        settings.only_precision in (None, Precision.FLOAT32)
    )
    return [*able, REFERENCE] if free or not able else able


def _can_run(entry: ModelEntry, precision: Precision, settings: WorkerSettings) -> bool:
    """Return whether OpenVINO can run a model in a precision here. Raises the obstacle if the
    settings name this precision."""
    try:
        openvino.require(precision)
        if settings.only_precision is None:
            openvino.require_safe(precision)
        for width in entry.widths:
            openvino.trunk_of(entry, width, precision)
    except (CatalogError, RuntimeMissing) as error:
        named = settings.only_precision or (
            Precision.FLOAT32 if settings.runtime is Runtime.OPENVINO else None
        )
        if precision is named:
            raise
        log.debug("%s does not run in openvino %s: %s", entry.name, precision.value, error)
        return False
    return True


class _Trial:
    """Backends of one model; each is admitted if its pictures are correct."""

    def __init__(
        self, folder: Path, entry: ModelEntry, settings: WorkerSettings, cache: Path | None
    ) -> None:
        self._entry = entry
        self._load = functools.partial(session_of, folder, entry, settings, cache=cache)
        self.reference = self._load(REFERENCE)
        self.admitted: dict[Backend, Session] = {}
        self.refused: dict[str, str] = {}

    def admit(self, backend: Backend) -> None:
        """Load and check a backend."""
        if backend == REFERENCE:
            self.admitted[backend] = self.reference
            return
        if str(backend) in self.refused:
            return
        try:
            session = self._load(backend)
            check_against_float32(self._entry, session, self.reference, backend.precision)
        except Exception as error:  # backends raise various errors; another one runs then
            log.warning("%s does not run in %s: %s", self._entry.name, backend, error)
            self.refused[str(backend)] = one_line_reason(error)
        else:
            self.admitted[backend] = session


def session_of(
    folder: Path,
    entry: ModelEntry,
    settings: WorkerSettings,
    backend: Backend,
    cache: Path | None = None,
) -> Session:
    """Return a model in a backend; widths are loaded when they first run. Raises CatalogError and
    RuntimeMissing."""
    threads, spin = settings.worker_threads, settings.spin
    providers = CUDA_PROVIDERS if settings.device is Device.CUDA else CPU_PROVIDERS
    if entry.adapter is not None:
        return AdapterSession(folder, entry, threads, providers, spin)
    if backend.runtime is Runtime.TORCHSCRIPT:
        return TorchScriptSession(folder, entry, settings.device.value, threads)
    if backend.runtime is Runtime.OPENVINO:
        compiled = None if cache is None else cache / "openvino"
        return openvino.OpenVinoSession(folder, entry, backend.precision, threads, spin, compiled)
    return OnnxSession(folder, entry, threads, providers, spin)


def check_against_float32(
    entry: ModelEntry, session: Session, reference: Session, precision: Precision
) -> None:
    """Raise Disagreement if a session's pictures at the narrowest or widest width differ from the
    reference's by more than a precision allows."""
    allowed = AGREEMENT[precision]
    for width in {entry.widths[0].width, entry.widths[-1].width}:
        expected, made = (_checked(one, width) for one in (reference, session))
        error = np.abs(np.clip(made, 0, 1) - np.clip(expected, 0, 1))
        if not np.isfinite(made).all():
            raise Disagreement("its picture contains NaN or infinity")
        db = -10 * math.log10(max(float(np.square(error).mean()), 1e-12))
        levels = 255 * float(error.max())
        if db < allowed.min_db or levels > allowed.max_levels:
            raise Disagreement(
                f"its picture at width {width:g} is {db:.0f} dB from float32's, and off by up to "
                f"{levels:.1f} levels of 255; {allowed.min_db:.0f} dB and "
                f"{allowed.max_levels:g} levels are allowed"
            )


def _checked(session: Session, width: float) -> FloatArray:
    height, across, scale = CHECKED
    rows, columns = (axis_grid(side, round(side * scale)) for side in (height, across))
    return session.at(width).run(check_picture(height, across), rows, columns)


def check_picture(height: int, width: int) -> FloatArray:
    """Return a picture [1, 3, height, width] in [0, 1] with gradients, edges and a fine grain."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    down, across = y / height, x / width
    grain = np.random.default_rng(0).normal(0, 0.02, (3, height, width)).astype(np.float32)
    disc = np.hypot(y - height / 2, x - width / 2) < min(height, width) / 3
    stripes = (x // 4 % 2 == 0) & (y > 0.8 * height)
    planes = np.stack([down, across, 1 - down])
    picture = np.where(disc, 0.9 - 0.5 * planes, planes)
    picture = np.where(stripes, 0.1, picture) + grain
    clipped: FloatArray = np.clip(picture, 0, 1)[None].astype(np.float32)
    return clipped


def fastest(
    entry: ModelEntry,
    sessions: Mapping[Backend, Session],
    clock: Callable[[], float] = time.perf_counter,
) -> Backend | None:
    """Return the backend that is fastest at the widest width; None if there is none. One of lower
    precision is chosen only below `WORTHWHILE` of the others' time. Backends are timed in rounds,
    so that a temporary disturbance affects all of them."""
    if len(sessions) < 2:
        return next(iter(sessions), None)
    grid = axis_grid(TIMED, 2 * TIMED)
    image, width = check_picture(TIMED, TIMED), entry.widths[-1].width
    networks = {backend: session.at(width) for backend, session in sessions.items()}
    shortest = dict.fromkeys(sessions, math.inf)
    for _ in range(ROUNDS + 1):  # the first one prepares the shape
        for backend, network in networks.items():
            since = clock()
            network.run(image, grid, grid)
            shortest[backend] = min(shortest[backend], clock() - since)
    times = ", ".join(f"{backend} {1e3 * took:.1f} ms" for backend, took in shortest.items())
    log.info("%s at %d x %d, x2: %s", entry.name, TIMED, TIMED, times)
    return min(shortest, key=lambda backend: shortest[backend] / _handicap(backend))


def _handicap(backend: Backend) -> float:
    return 1.0 if backend.precision is Precision.FLOAT32 else WORTHWHILE


def choose_cached(
    folder: Path, entry: ModelEntry, settings: WorkerSettings, cache: Path | None
) -> Chosen:
    """Return the result of `choose`, and cache it in a folder for the next start."""
    facts = _facts_of(entry, settings)
    path = None if cache is None else cache / file_name("backend", facts)
    previous = None if path is None else _read(path, facts)
    chosen = choose(folder, entry, settings, previous, cache)
    if path is not None and chosen.timed:
        choice = {"runtime": chosen.backend.runtime.value, "precision": chosen.backend.precision}
        write_cached(path, facts, {"backend": choice})
    return chosen


def _read(path: Path, facts: Facts) -> Backend | None:
    try:
        choice = read_cached(path, facts)["backend"]
        return Backend(Runtime(choice["runtime"]), Precision(choice["precision"]))
    except FileNotFoundError:
        return None
    except UNREADABLE as error:
        log.warning("the backend in %s cannot be used, so it is chosen again: %s", path, error)
        return None


def _facts_of(entry: ModelEntry, settings: WorkerSettings) -> Facts:
    """Return everything that the choice of a model's backend depends on."""
    return {
        "format": FORMAT,
        "machine": machine_facts(),
        "allowed": [settings.runtime.value, settings.precision, settings.device.value],
        "threads": [settings.worker_threads, settings.spin],
        "libraries": versions(LIBRARIES),
        "artifacts": [[artifact.file, artifact.sha256] for artifact in entry.artifacts],
    }
