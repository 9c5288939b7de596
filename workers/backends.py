"""Which backend runs a model here: of those that are able, the fastest, found by measurement.

Before a backend counts, it must make the same picture as ONNX Runtime in float32: processors and
libraries are known that compute in low precision and are wrong. One that does not is left out, with
the reason, and the next best runs.
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
from workers.cache_files import UNREADABLE, Facts, file_name, keep, read_kept, versions
from workers.machine import machine_facts
from workers.runtimes import openvino
from workers.runtimes.base import FloatArray, RuntimeMissing, Session
from workers.runtimes.onnx import CPU_PROVIDERS, CUDA_PROVIDERS, OnnxSession
from workers.runtimes.torchscript import TorchScriptSession
from workers.settings import Device, Runtime, WorkerSettings

log = logging.getLogger("anysr.workers.backends")

CHECKED = (48, 64, 2.37)
"""Height, width and scale of the picture on which backends are compared."""
TIMED = 48
"""Input pixels a side of what they are timed on, at twice the size."""
ROUNDS = 2
WORTH = 0.8
"""Of the time of float32, below which what is lost in lower precision is worth it."""

FORMAT = 1
"""To be raised when the same facts come to mean another choice."""
LIBRARIES = ("anysr-serve", "numpy", "onnxruntime", "openvino")


@dataclass(frozen=True)
class Backend:
    """A runtime, and in which numbers it runs a trunk."""

    runtime: Runtime
    precision: Precision = Precision.FLOAT32

    def __str__(self) -> str:
        return f"{self.runtime.value} {self.precision.value}"


PLAIN = Backend(Runtime.ONNX)
"""What can run every model, and what others are compared with."""
EXACT = Backend(Runtime.OPENVINO)


@dataclass(frozen=True)
class Agreement:
    """How far a picture may be from float32's."""

    least_db: float
    most_levels: float
    """Of 255, at any pixel."""


AGREEMENT = {
    Precision.FLOAT32: Agreement(80.0, 0.25),
    Precision.BFLOAT16: Agreement(60.0, 1.5),
    Precision.INT8: Agreement(46.0, 16.0),
}
"""Of int8 the loss was measured (`Int8Entry`); what is looked for here is a backend that computes
something else."""


@dataclass(frozen=True)
class Chosen:
    """A model in the backend that runs it."""

    backend: Backend
    session: Session
    refused: Mapping[str, str] = field(default_factory=dict)
    """Why others do not, by their names: those that were tried and are wrong or broken."""
    timed: bool = False
    """Whether several were timed."""


class Disagreement(Exception):
    """A backend computes something else than ONNX Runtime in float32."""


def choose(
    folder: Path,
    entry: ModelEntry,
    settings: WorkerSettings,
    known: Backend | None = None,
    kept: Path | None = None,
) -> Chosen:
    """Return a model in the backend that the settings name or that is fastest, of those that are
    right. `known` is what was found to be the fastest earlier: it is checked, not timed again. In
    the folder `kept` a runtime keeps what it has compiled.

    Raises CatalogError for a model that cannot run as the settings say, and RuntimeMissing.
    """
    wanted = usable(entry, settings)
    if wanted[0].runtime is not Runtime.OPENVINO:
        return Chosen(wanted[0], session_of(folder, entry, settings, wanted[0]))
    trial = _Trial(folder, entry, settings, kept)
    if known is not None and known in wanted:
        trial.admit(known)
    best = fastest(entry, trial.admitted)
    if best is None:
        for backend in (one for one in wanted if one != EXACT):
            trial.admit(backend)
        best = fastest(entry, trial.admitted)
        # OpenVINO in float32 is never faster than in fewer bits, so it is tried without these.
        if EXACT in wanted and (best is None or best.precision is Precision.FLOAT32):
            trial.admit(EXACT)
            best = fastest(entry, trial.admitted)
    best = best or PLAIN
    session = {PLAIN: trial.plain, **trial.admitted}[best]
    return Chosen(best, session, trial.refused, timed=len(trial.admitted) > 1)


def usable(entry: ModelEntry, settings: WorkerSettings) -> Sequence[Backend]:
    """Return the backends that the settings leave a choice of, and that can run a model."""
    if settings.runtime is Runtime.TORCHSCRIPT:
        return [Backend(Runtime.TORCHSCRIPT)]
    if settings.runtime is Runtime.ONNX or settings.device is Device.CUDA or entry.head is None:
        return [PLAIN]
    able = [
        Backend(Runtime.OPENVINO, precision)
        for precision in (Precision.INT8, Precision.BFLOAT16, Precision.FLOAT32)
        if settings.only_precision in (None, precision) and _able(entry, precision, settings)
    ]
    free = settings.runtime is Runtime.AUTO and (
        settings.only_precision in (None, Precision.FLOAT32)
    )
    return [*able, PLAIN] if free or not able else able


def _able(entry: ModelEntry, precision: Precision, settings: WorkerSettings) -> bool:
    """Return whether OpenVINO can run a model in a precision here. Raises what is in the way of
    what the settings name."""
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
    """Backends of one model, each admitted if its pictures are right."""

    def __init__(
        self, folder: Path, entry: ModelEntry, settings: WorkerSettings, kept: Path | None
    ) -> None:
        self._entry = entry
        self._load = functools.partial(session_of, folder, entry, settings, kept=kept)
        self.plain = self._load(PLAIN)
        self.admitted: dict[Backend, Session] = {}
        self.refused: dict[str, str] = {}

    def admit(self, backend: Backend) -> None:
        """Load and check a backend."""
        if backend == PLAIN:
            self.admitted[backend] = self.plain
            return
        if str(backend) in self.refused:
            return
        try:
            session = self._load(backend)
            check(self._entry, session, self.plain, backend.precision)
        except Exception as error:  # a backend may raise anything; another one runs then
            log.warning("%s does not run in %s: %s", self._entry.name, backend, error)
            self.refused[str(backend)] = one_line_reason(error)
        else:
            self.admitted[backend] = session


def session_of(
    folder: Path,
    entry: ModelEntry,
    settings: WorkerSettings,
    backend: Backend,
    kept: Path | None = None,
) -> Session:
    """Return a model in a backend, its widths to be loaded when they first run. Raises CatalogError
    and RuntimeMissing where that cannot be."""
    threads, spin = settings.worker_threads, settings.spin
    if backend.runtime is Runtime.TORCHSCRIPT:
        return TorchScriptSession(folder, entry, settings.device.value, threads)
    if backend.runtime is Runtime.OPENVINO:
        cache = None if kept is None else kept / "openvino"
        return openvino.OpenVinoSession(folder, entry, backend.precision, threads, spin, cache)
    providers = CUDA_PROVIDERS if settings.device is Device.CUDA else CPU_PROVIDERS
    return OnnxSession(folder, entry, threads, providers, spin)


def check(entry: ModelEntry, session: Session, plain: Session, precision: Precision) -> None:
    """Raise Disagreement if a session's widest or narrowest picture is not that of the `plain`
    one, as far as a precision allows."""
    allowed = AGREEMENT[precision]
    for width in {entry.widths[0].width, entry.widths[-1].width}:
        expected, made = (_checked(one, width) for one in (plain, session))
        error = np.abs(np.clip(made, 0, 1) - np.clip(expected, 0, 1))
        if not np.isfinite(made).all():
            raise Disagreement("it makes what is no number")
        db = -10 * math.log10(max(float(np.square(error).mean()), 1e-12))
        levels = 255 * float(error.max())
        if db < allowed.least_db or levels > allowed.most_levels:
            raise Disagreement(
                f"its picture at width {width:g} is {db:.0f} dB from float32's, and off by up to "
                f"{levels:.1f} levels of 255; {allowed.least_db:.0f} dB and "
                f"{allowed.most_levels:g} levels are allowed"
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
    """Return the backend that runs the widest width in the shortest time, one of lower precision
    if it takes less than `WORTH` of that of the others; None if there is none. They are timed in
    rounds: what disturbs the machine for a while disturbs all."""
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
    told = ", ".join(f"{backend} {1e3 * took:.1f} ms" for backend, took in shortest.items())
    log.info("%s at %d x %d, x2: %s", entry.name, TIMED, TIMED, told)
    return min(shortest, key=lambda backend: shortest[backend] / _worth(backend))


def _worth(backend: Backend) -> float:
    return 1.0 if backend.precision is Precision.FLOAT32 else WORTH


def choose_once(
    folder: Path, entry: ModelEntry, settings: WorkerSettings, kept: Path | None
) -> Chosen:
    """Return what `choose` does, and keep what it found in a folder for the next start."""
    facts = _facts_of(entry, settings)
    path = None if kept is None else kept / file_name("backend", facts)
    known = None if path is None else _read(path, facts)
    chosen = choose(folder, entry, settings, known, kept)
    if path is not None and chosen.timed:
        told = {"runtime": chosen.backend.runtime.value, "precision": chosen.backend.precision}
        keep(path, facts, {"backend": told})
    return chosen


def _read(path: Path, facts: Facts) -> Backend | None:
    try:
        told = read_kept(path, facts)["backend"]
        return Backend(Runtime(told["runtime"]), Precision(told["precision"]))
    except FileNotFoundError:
        return None
    except UNREADABLE as error:
        log.warning("the backend in %s cannot be used, so it is found again: %s", path, error)
        return None


def _facts_of(entry: ModelEntry, settings: WorkerSettings) -> Facts:
    """Return all that the choice of a model's backend depends on."""
    return {
        "format": FORMAT,
        "machine": machine_facts(),
        "allowed": [settings.runtime.value, settings.precision, settings.device.value],
        "threads": [settings.worker_threads, settings.spin],
        "libraries": versions(LIBRARIES),
        "artifacts": [[artifact.file, artifact.sha256] for artifact in entry.artifacts],
    }
