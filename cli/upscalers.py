"""Two ways to upscale one file for `anysr upscale`: in this process, or through a service."""

from __future__ import annotations

import math
import os
import time
import uuid
from dataclasses import dataclass
from typing import Protocol

import httpx

from images.limits import Limits
from images.opening import read_header
from images.picture import Picture
from jobs.errors import AnysrError, InternalError, from_code
from jobs.formats import ImageFormat, format_of_media_type
from models.catalog import SHIPPED, read_catalog
from scheduling.backlog import Load
from scheduling.cost_model import CostModel
from scheduling.planning import Budgets, build_job, chosen_model
from scheduling.request import UpscaleRequest
from workers.cache_files import kept_folder
from workers.calibration_cache import costs_here
from workers.job_binding import JobBinding
from workers.loaded_model import load_zoo
from workers.pipeline import Progress, make
from workers.settings import WorkerSettings
from workers.upscale import Engine

LOADING_PATIENCE_S = 60
"""For how long a service is asked again that says it is not ready, which may be a model being
loaded that nobody had asked for before."""
ALONE = Load(now_ms=0.0, workers=1)
"""No other job runs or waits."""


@dataclass(frozen=True)
class Outcome:
    """An encoded picture and one line on what ran."""

    picture: bytes
    format: ImageFormat
    story: str


class Upscaler(Protocol):
    """One encoded picture in, one out. Raises errors of `jobs.errors`."""

    def upscale(self, data: bytes) -> Outcome: ...

    def close(self) -> None: ...


class LocalUpscaler:
    """Runs the network in this process, with the worker's own code.

    Without a latency budget the default model for the kind of picture runs at its widest; with one
    the machine is measured first.
    """

    def __init__(self, wanted: UpscaleRequest) -> None:
        settings = WorkerSettings()
        folder = settings.models_folder or SHIPPED
        self._limits = Limits(settings.max_source_pixels, settings.max_output_pixels)
        self._catalog = read_catalog(folder)
        self._budgeted = wanted.latency_budget_ms is not None
        if wanted.model is not None or wanted.anysr_width is not None:
            name = chosen_model(wanted, self._catalog).name
            wanted = wanted.model_copy(update={"model": name})
        self._wanted = wanted
        kept = kept_folder(settings.calibration_folder, os.environ)
        only = wanted.model if self._budgeted else wanted.model or self._catalog.default
        self._zoo = load_zoo(folder, settings, only, kept)
        self._costs = costs_here(self._zoo, settings, kept) if self._budgeted else CostModel()

    def upscale(self, data: bytes) -> Outcome:
        header = read_header(data, self._limits.source_pixels)
        wanted = self._wanted
        if not self._budgeted and wanted.model is None:  # nothing to choose by
            wanted = wanted.model_copy(update={"model": self._catalog.default})
        job = build_job(
            uuid.uuid4().hex,
            wanted,
            header,
            self._catalog,
            self._limits.output_pixels,
            Budgets(math.inf, math.inf),
        )
        slack = job.budget_ms if self._budgeted else math.inf
        bound = JobBinding(job, self._zoo, self._costs, slack, ALONE)

        def see(picture: Picture) -> Engine | None:
            bound.look(picture)
            return bound.binding.engine

        made = make(job, data, bound.binding.engine, self._limits, Progress(), see)
        binding = bound.binding
        option, reason = binding.decision.option, binding.decision.reason.value
        cleans = binding.engine is not None and binding.engine.takes_strength
        story = f"{option.rung.model} at width {option.rung.width:g} ({reason})"
        story += _cleaned(job.strength if cleans else 0.0)
        if option.db is not None and not made.untouched:
            story += f", {option.db:.1f} dB expected"
        story += f", {sum(made.stages_ms.values()):.0f} ms"
        return Outcome(made.picture, job.output_format, story)

    def close(self) -> None:
        """Nothing is held open."""


class RemoteUpscaler:
    """Sends the file to a service."""

    def __init__(self, server: str, wanted: UpscaleRequest) -> None:
        self._parameters = wanted.model_dump(mode="json", exclude_defaults=True)
        self._client = httpx.Client(base_url=server, timeout=httpx.Timeout(30, read=None))

    def upscale(self, data: bytes) -> Outcome:
        try:
            answer = self._answer(data)
        except httpx.TransportError as error:
            raise InternalError(f"{self._client.base_url} cannot be reached: {error}") from error
        if answer.status_code != httpx.codes.OK:
            raise _problem(answer)
        facts = answer.headers
        story = (
            f"{facts['X-AnySR-Model']} at width {facts['X-AnySR-Width']} "
            f"({facts['X-AnySR-Reason']}){_cleaned(float(facts.get('X-AnySR-Strength', 0)))}, "
            f"{_expected(facts.get('X-AnySR-Expected-Db'))}"
            f"{float(facts['X-AnySR-Elapsed-Ms']):.0f} ms, deadline {facts['X-AnySR-Deadline']}"
        )
        made = format_of_media_type(facts["Content-Type"].partition(";")[0])
        return Outcome(answer.content, made, story)

    def _answer(self, data: bytes) -> httpx.Response:
        """Return the service's answer, which may come only when it has loaded the model."""
        patient_until = time.monotonic() + LOADING_PATIENCE_S
        while True:
            answer = self._client.post(
                "/upscale",
                params=self._parameters,
                content=data,
                headers={"Content-Type": "application/octet-stream"},
            )
            pause_s = answer.headers.get("Retry-After", "")
            loading = answer.status_code == httpx.codes.SERVICE_UNAVAILABLE and pause_s.isdigit()
            if not loading or time.monotonic() + int(pause_s) > patient_until:
                return answer
            time.sleep(int(pause_s))

    def close(self) -> None:
        self._client.close()


def _cleaned(strength: float) -> str:
    """Return the part of a story that says how much damage was cleaned up, if any was."""
    return f", cleaned up at strength {strength:g}" if strength > 0 else ""


def _expected(db: str | None) -> str:
    return "" if db is None else f"{float(db):.1f} dB expected, "


def _problem(answer: httpx.Response) -> AnysrError:
    try:
        problem = answer.json()
        return from_code(str(problem["code"]), str(problem["detail"]))
    except (ValueError, KeyError, TypeError):
        return InternalError(f"the server answered {answer.status_code}, and not as AnySR does")
