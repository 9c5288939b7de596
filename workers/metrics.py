"""A worker's Prometheus metrics: base units, and no label whose values callers choose.

The gateway counts ended jobs and their slack, once each. A worker counts runs; a job has several
when a worker was lost with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sized

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.process_collector import ProcessCollector

from images.sandbox.decoder import End
from jobs.job import RunFacts
from telemetry.build import ENGINES, package_version, runtime
from workers.loaded_model import ModelsByName

STAGE_BUCKETS = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75),
    *(1.0, 1.5, 2.5, 5.0, 7.5, 10.0, 15.0, 30.0, 60.0, 120.0),
)
ERROR_BUCKETS = (0.25, 0.5, 0.67, 0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.25, 1.5, 2.0, 4.0)


class WorkerMetrics:
    """A worker's metrics, on the given registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._runs = Counter(
            "anysr_runs",
            "Runs that ended; the reason is that of the chosen width, or the error code.",
            ("outcome", "reason"),
            registry=registry,
        )
        self._stages = Histogram(
            "anysr_job_stage_seconds",
            "Time of each stage of a run: queue, decode, network, encode.",
            ("stage",),
            buckets=STAGE_BUCKETS,
            registry=registry,
        )
        self._widths = Counter(
            "anysr_width_selected",
            "Pictures made, by model, width (0: resampled) and the reason of the choice.",
            ("model", "width", "reason"),
            registry=registry,
        )
        self._errors = Histogram(
            "anysr_cost_model_error_ratio",
            "Measured over predicted time of a run; 1 is a perfect prediction.",
            buckets=ERROR_BUCKETS,
            registry=registry,
        )
        self._tiles = Counter("anysr_tiles", "Tiles run.", registry=registry)
        self._yields = Counter(
            "anysr_yields",
            "Times a run was suspended for a more urgent job.",
            registry=registry,
        )
        self._decoder_ends = Counter(
            "anysr_decoder_ends",
            "Pictures that ended the decoder process: timeout, crash, interrupted (their job was "
            "cancelled); or memory, which were refused by it.",
            ("reason",),
            registry=registry,
        )
        for end in End:
            self._decoder_ends.labels(end.value)
        self._models = Gauge(
            "anysr_model_info",
            "1 for each model that this worker serves.",
            ("model", "runtime", "precision"),
            registry=registry,
        )
        self._refused = Gauge(
            "anysr_backends_refused",
            "Runtimes and precisions that this worker does not run its models in, because they "
            "computed a wrong picture, or failed.",
            registry=registry,
        )
        self._broken = Gauge(
            "anysr_models_broken",
            "Entries of the model folder that this worker could not load when it last read it.",
            registry=registry,
        )
        build = Gauge(
            "anysr_build_info",
            "1, with the version of the service and of what it runs on.",
            ("version", "runtime"),
            registry=registry,
        )
        build.labels(package_version(), runtime(ENGINES)).set(1)
        self._ready = Gauge("anysr_worker_ready", "1 while this worker is warm.", registry=registry)
        self._busy = Gauge(
            "anysr_worker_busy", "1 while this worker runs a job.", registry=registry
        )
        ProcessCollector(registry=registry)

    def serves(self, models: ModelsByName, broken: Sized) -> None:
        """Set the loaded models with their backends, and the number of broken entries."""
        self._models.clear()
        for model, served in models.items():
            backend = served.backend
            self._models.labels(model, backend.runtime.value, backend.precision.value).set(1)
        self._refused.set(sum(len(served.refused) for served in models.values()))
        self._broken.set(len(broken))

    def state(self, ready: bool, busy: bool) -> None:
        """Set whether the worker is warm and whether it runs a job."""
        self._ready.set(ready)
        self._busy.set(busy)

    def made(self, facts: RunFacts, trace_id: str | None) -> None:
        """Count a delivered picture; its trace is the exemplar of its stages."""
        self._runs.labels("succeeded", facts.reason.value).inc()
        self._widths.labels(facts.model, f"{facts.width:g}", facts.reason.value).inc()
        self._tiles.inc(facts.tiles)
        self._errors.observe(facts.run_ms / max(facts.predicted_ms, 1e-3))
        self._observe(facts.stages_ms, trace_id)

    def suspended(self) -> None:
        """Count a run that is suspended for a more urgent job."""
        self._yields.inc()

    def decoder_ended(self, end: End) -> None:
        """Count a picture that ended the decoder process, or was too large for it."""
        self._decoder_ends.labels(end.value).inc()

    def failed(self, code: str) -> None:
        """Count a run that ended with an error."""
        self._runs.labels("failed", code).inc()

    def dropped(self, why: str) -> None:
        """Count a run whose result is not delivered: `cancelled`, or `lost` with its lease."""
        self._runs.labels(why, why).inc()

    def _observe(self, stages_ms: Mapping[str, float], trace_id: str | None) -> None:
        exemplar = {"trace_id": trace_id} if trace_id else None
        for stage, milliseconds in stages_ms.items():
            self._stages.labels(stage).observe(milliseconds / 1e3, exemplar)
