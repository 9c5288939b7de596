"""Upscales pictures in this process, by the worker's own code."""

from __future__ import annotations

import math
import os
import uuid

from cli.upscaling.upscaler import Outcome, cleaned, converted
from images.decode import decode
from images.opening import read_header
from images.sandbox.decoder import SandboxedDecoder, supported
from jobs.job import JobRequest
from jobs.settings_errors import settings_of
from models.catalog import SHIPPED, read_catalog
from scheduling.cost_model import CostModel
from scheduling.load import Load
from scheduling.options import options_of
from scheduling.planning import Budgets, build_job, chosen_model
from scheduling.request import UpscaleRequest
from workers.cache_files import cache_folder
from workers.calibration_cache import machine_costs
from workers.execution import Execution, execute
from workers.loaded_model import ModelsByName, load, load_models
from workers.pipeline import Decode
from workers.settings import WorkerSettings

ALONE = Load(now_ms=0.0, workers=1)
"""No other job runs or waits."""


class LocalUpscaler:
    """Runs the networks in this process; pictures are decoded in a process of its own, where there
    is one.

    Without a latency budget the network with the best expected quality runs, of those that the
    service chooses by itself; with a budget, the machine's costs are measured first. Raises
    SettingsError, CatalogError, RuntimeMissing, and errors of `jobs.errors` for a request that no
    picture could meet.
    """

    def __init__(self, wanted: UpscaleRequest) -> None:
        self._settings = settings_of(WorkerSettings)
        self._folder = self._settings.models_folder or SHIPPED
        self._limits = self._settings.limits
        self._catalog = read_catalog(self._folder)
        if wanted.model is not None or wanted.anysr_width is not None:
            name = chosen_model(wanted, self._catalog).name
            wanted = wanted.model_copy(update={"model": name})
        self._wanted = wanted
        self._cache = cache_folder(self._settings.calibration_folder, os.environ)
        self._budgeted = wanted.latency_budget_ms is not None
        self._models: ModelsByName = {}
        self._costs = CostModel()
        if self._budgeted:
            self._models = load_models(self._folder, self._settings, wanted.model, self._cache)
            self._costs = machine_costs(self._models, self._settings, self._cache)
        self._decoder = self._started_decoder()

    def upscale(self, data: bytes) -> Outcome:
        """Return the picture as a worker makes it."""
        header = read_header(data, self._limits.source_pixels, self._wanted.frame)
        budgets = Budgets(math.inf, math.inf)
        job = build_job(
            *(uuid.uuid4().hex, self._wanted, header, self._catalog, self._limits, budgets),
            source_bytes=len(data),
        )
        slack_ms = job.budget_ms if self._budgeted else math.inf
        models = self._models if self._budgeted else self._best(job)
        execution = execute(
            *(job, data, models, self._costs, slack_ms, ALONE, self._limits),
            decode=self._decode,
        )
        return Outcome(execution.result.picture, job.output_format, _summary(job, execution))

    def close(self) -> None:
        """End the process that decodes."""
        if self._decoder is not None:
            self._decoder.close()

    def _best(self, job: JobRequest) -> ModelsByName:
        """Return the one model that has the best option for a job, loaded."""
        # Costs are unknown here: of models that are equally good, the smaller one comes first.
        by_size = sorted(self._catalog.models, key=lambda entry: entry.weights.bytes)
        options = options_of(job, {entry.name: entry for entry in by_size}, self._costs)
        name = options[-1].rung.model if options else self._catalog.default
        if name not in self._models:
            entry = self._catalog.get(name)
            self._models[name] = load(self._folder, entry, self._settings, self._cache)
        return {name: self._models[name]}

    def _started_decoder(self) -> SandboxedDecoder | None:
        if not self._settings.sandbox or not supported():
            return None
        decoder = SandboxedDecoder(self._settings.max_source_pixels)
        decoder.start()
        return decoder

    @property
    def _decode(self) -> Decode:
        if self._decoder is None:
            return decode
        return self._decoder.within(self._settings.decode_seconds)


def _summary(job: JobRequest, execution: Execution) -> str:
    """Return one line on a run: model, width, reason, expected quality and time."""
    bound, result = execution.bound, execution.result
    option, reason = bound.option, bound.choice.decision.reason.value
    cleans = bound.engine is not None and bound.engine.takes_strength
    summary = f"{option.rung.model} at width {option.rung.width:g} ({reason})"
    summary += cleaned(job.strength if cleans else 0.0) + converted(result.converted)
    if option.db is not None and not result.untouched:
        summary += f", {option.db:.1f} dB expected"
    return summary + f", {sum(result.stages_ms.values()):.0f} ms"
