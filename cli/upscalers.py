"""Two ways to upscale one file for `anysr upscale`: in this process, or through a service."""

from __future__ import annotations

import math
import os
import time
import uuid
from dataclasses import dataclass
from typing import Protocol

import httpx

from images.opening import read_header
from jobs.errors import AnysrError, InternalError, from_code
from jobs.formats import ImageFormat, format_of_media_type
from jobs.job import JobRequest
from models.catalog import SHIPPED, read_catalog
from scheduling.cost_model import CostModel
from scheduling.load import Load
from scheduling.planning import Budgets, build_job, chosen_model
from scheduling.request import UpscaleRequest
from workers.cache_files import cache_folder
from workers.calibration_cache import machine_costs
from workers.execution import Execution, execute
from workers.loaded_model import load_zoo
from workers.settings import WorkerSettings

LOADING_PATIENCE_S = 60
"""How long a request is repeated while the service is not ready: it may be loading a model on its
first request."""
ALONE = Load(now_ms=0.0, workers=1)
"""No other job runs or waits."""


@dataclass(frozen=True)
class Outcome:
    """An encoded picture, and one line on how it was made."""

    picture: bytes
    format: ImageFormat
    summary: str


class Upscaler(Protocol):
    """Upscales one encoded picture at a time. Raises errors of `jobs.errors`."""

    def upscale(self, data: bytes) -> Outcome: ...

    def close(self) -> None: ...


class LocalUpscaler:
    """Runs the network in this process, by the worker's own code.

    Without a latency budget the default model runs at its widest; with one, the machine's costs are
    measured first.
    """

    def __init__(self, wanted: UpscaleRequest) -> None:
        settings = WorkerSettings()
        folder = settings.models_folder or SHIPPED
        self._limits = settings.limits
        self._catalog = read_catalog(folder)
        self._budgeted = wanted.latency_budget_ms is not None
        if wanted.model is not None or wanted.anysr_width is not None:
            name = chosen_model(wanted, self._catalog).name
            wanted = wanted.model_copy(update={"model": name})
        self._wanted = wanted
        cache = cache_folder(settings.calibration_folder, os.environ)
        only = wanted.model if self._budgeted else wanted.model or self._catalog.default
        self._zoo = load_zoo(folder, settings, only, cache)
        self._costs = machine_costs(self._zoo, settings, cache) if self._budgeted else CostModel()

    def upscale(self, data: bytes) -> Outcome:
        header = read_header(data, self._limits.source_pixels)
        wanted = self._wanted
        if not self._budgeted and wanted.model is None:
            wanted = wanted.model_copy(update={"model": self._catalog.default})
        job = build_job(
            uuid.uuid4().hex,
            wanted,
            header,
            self._catalog,
            self._limits,
            Budgets(math.inf, math.inf),
        )
        slack_ms = job.budget_ms if self._budgeted else math.inf
        execution = execute(job, data, self._zoo, self._costs, slack_ms, ALONE, self._limits)
        return Outcome(execution.result.picture, job.output_format, _summary(job, execution))

    def close(self) -> None:
        """Do nothing: no resource is held open."""


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
        summary = (
            f"{facts['X-AnySR-Model']} at width {facts['X-AnySR-Width']} "
            f"({facts['X-AnySR-Reason']}){_cleaned(float(facts.get('X-AnySR-Strength', 0)))}"
            f"{_converted('X-AnySR-Colours' in facts)}, "
            f"{_expected(facts.get('X-AnySR-Expected-Db'))}"
            f"{float(facts['X-AnySR-Elapsed-Ms']):.0f} ms, deadline {facts['X-AnySR-Deadline']}"
        )
        made = format_of_media_type(facts["Content-Type"].partition(";")[0])
        return Outcome(answer.content, made, summary)

    def _answer(self, data: bytes) -> httpx.Response:
        """Return the service's response; repeat the request while the service loads the model."""
        repeat_until = time.monotonic() + LOADING_PATIENCE_S
        while True:
            answer = self._client.post(
                "/upscale",
                params=self._parameters,
                content=data,
                headers={"Content-Type": "application/octet-stream"},
            )
            pause_s = answer.headers.get("Retry-After", "")
            loading = answer.status_code == httpx.codes.SERVICE_UNAVAILABLE and pause_s.isdigit()
            if not loading or time.monotonic() + int(pause_s) > repeat_until:
                return answer
            time.sleep(int(pause_s))

    def close(self) -> None:
        self._client.close()


def _summary(job: JobRequest, execution: Execution) -> str:
    """Return one line on a local run: model, width, reason, expected quality and time."""
    bound, result = execution.bound, execution.result
    option, reason = bound.option, bound.binding.decision.reason.value
    cleans = bound.engine is not None and bound.engine.takes_strength
    summary = f"{option.rung.model} at width {option.rung.width:g} ({reason})"
    summary += _cleaned(job.strength if cleans else 0.0) + _converted(result.converted)
    if option.db is not None and not result.untouched:
        summary += f", {option.db:.1f} dB expected"
    return summary + f", {sum(result.stages_ms.values()):.0f} ms"


def _cleaned(strength: float) -> str:
    """Return the part of a summary on damage that was cleaned up; empty if none was."""
    return f", cleaned up at strength {strength:g}" if strength > 0 else ""


def _converted(colours: bool) -> str:
    """Return the part of a summary on colours that the output could not state."""
    return ", colours converted" if colours else ""


def _expected(db: str | None) -> str:
    return "" if db is None else f"{float(db):.1f} dB expected, "


def _problem(answer: httpx.Response) -> AnysrError:
    try:
        problem = answer.json()
        return from_code(str(problem["code"]), str(problem["detail"]))
    except (ValueError, KeyError, TypeError):
        return InternalError(
            f"the server answered {answer.status_code}, which is no answer of AnySR"
        )
