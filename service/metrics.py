"""What the gateway tells Prometheus. Base units, and no label that a caller could grow.

What is of the queue and of the workers comes from Redis, so every gateway tells the same of it:
aggregate that by max, and what a gateway counted itself by sum.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from jobs.errors import DeadlineExceeded, InternalError, WorkerLost
from jobs.job import GpuState, Job, JobStatus, JobView, MachineState, QueueHealth
from service.pictures import elapsed_of
from service.snapshot import LiveWorker, Snapshot
from service.spread import Spread, spread
from telemetry.trace_context import trace_id_of

WorkerFigure = Callable[[LiveWorker], float | None]

LATENCY_BUCKETS = (
    *(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75),
    *(1.0, 1.5, 2.5, 5.0, 7.5, 10.0, 15.0, 30.0, 60.0, 120.0),
)
SLACK_BUCKETS = (
    *(-60.0, -30.0, -10.0, -5.0, -2.5, -1.0, -0.5, -0.25, -0.1, -0.05, 0.0),
    *(0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OUR_FAILURES = frozenset({DeadlineExceeded.code, InternalError.code, WorkerLost.code, "unknown"})
"""Why a job that was let in has no picture though nothing was wrong with it: a missed budget."""
UNKNOWN = "NaN while the queue cannot be seen"
SPREAD = "Least, mean and most over the workers."


def _machine(figure: Callable[[MachineState], float | None]) -> WorkerFigure:
    return lambda worker: None if worker.machine is None else figure(worker.machine)


def _gpu(figure: Callable[[GpuState], float | None]) -> WorkerFigure:
    return _machine(lambda machine: None if machine.gpu is None else figure(machine.gpu))


MACHINE_GAUGES: dict[str, tuple[str, WorkerFigure]] = {
    "worker_pace_ratio": (
        "Network time of late over what calibration had found on the worker.",
        lambda worker: worker.slowdown if worker.ready else None,
    ),
    "worker_costs_disturbed": (
        "1 if others used the machine while costs were measured, until they are measured again.",
        lambda worker: float(bool(worker.costs.disturbed)) if worker.ready else None,
    ),
    "machine_cpu_load_ratio": (
        "Part of all cores' time in which programs ran.",
        _machine(lambda machine: machine.cpu_load),
    ),
    "machine_cpu_steal_ratio": (
        "Part of all cores' time that the hypervisor gave to others.",
        _machine(lambda machine: machine.cpu_steal),
    ),
    "machine_memory_available_bytes": (
        "Memory that programs could still get.",
        _machine(lambda machine: machine.memory_available_bytes),
    ),
    "machine_memory_total_bytes": (
        "Memory of the machine.",
        _machine(lambda machine: machine.memory_total_bytes),
    ),
    "machine_gpu_load_ratio": (
        "Part of the time in which the GPU computed.",
        _gpu(lambda gpu: gpu.load),
    ),
    "machine_gpu_memory_used_bytes": (
        "GPU memory in use.",
        _gpu(lambda gpu: gpu.memory_used_bytes),
    ),
    "machine_gpu_memory_total_bytes": (
        "Memory of the GPU.",
        _gpu(lambda gpu: gpu.memory_total_bytes),
    ),
}
"""Name -> (help, the figure of one worker). Not by worker: their ids come and go without bound."""


QUEUE_COUNTS: dict[str, tuple[str, Callable[[QueueHealth], int]]] = {
    "redeliveries": (
        "Jobs that were given to another worker, as theirs was lost.",
        lambda health: health.redeliveries,
    ),
    "dead_letters": (
        "Jobs that were given up, as too many workers were lost with them.",
        lambda health: health.dead_letters,
    ),
    "worker_starts": (
        "Worker processes that have come to life.",
        lambda health: health.worker_starts,
    ),
}
"""Name -> (help, the count); counted in Redis, once, and absent while that cannot be seen."""


class QueueCounters(Collector):
    """The counters that Redis keeps, as they were in the last snapshot."""

    def __init__(self) -> None:
        self.health: QueueHealth | None = None

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Yield each counter."""
        for name, (text, count) in QUEUE_COUNTS.items():
            if self.health is not None:
                yield CounterMetricFamily(f"anysr_{name}", text, value=count(self.health))


class GatewayMetrics:
    """The gateway's metrics on a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "anysr_http_requests",
            "HTTP requests answered.",
            ("route", "method", "status"),
            registry=self.registry,
        )
        self._request_seconds = Histogram(
            "anysr_http_request_duration_seconds",
            "Time from the head of a request to the end of its answer, upload included.",
            ("route",),
            buckets=LATENCY_BUCKETS,
            registry=self.registry,
        )
        self._jobs = Counter(
            "anysr_jobs",
            "Jobs that ended; the reason is why it ran as it did, or the error code.",
            ("outcome", "reason"),
            registry=self.registry,
        )
        self._job_seconds = Histogram(
            "anysr_job_duration_seconds",
            "Time from the end of the upload to the finished answer.",
            buckets=LATENCY_BUCKETS,
            registry=self.registry,
        )
        self._budgets = Counter(
            "anysr_budgets",
            "Jobs that were let in, by whether their budget was met or missed: late, or without "
            "a picture through our fault. Neither: cancelled, or not a picture after all.",
            ("outcome",),
            registry=self.registry,
        )
        for outcome in ("met", "missed"):
            self._budgets.labels(outcome)  # there from the start: a first miss must be a rise
        self._slack = Histogram(
            "anysr_deadline_slack_seconds",
            "Budget left when the answer was finished; negative when it was late.",
            buckets=SLACK_BUCKETS,
            registry=self.registry,
        )
        self._rejected = Counter(
            "anysr_admission_rejected",
            "Requests with a good picture that were not let into the queue, by error code.",
            ("reason",),
            registry=self.registry,
        )
        self._queue_gauges()
        self._machine_gauges()
        self._counters = QueueCounters()
        self.registry.register(self._counters)
        ProcessCollector(registry=self.registry)

    def _queue_gauges(self) -> None:
        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"anysr_{name}", text, labels, registry=self.registry)

        self._depth = gauge("queue_depth", f"Jobs that wait; {UNKNOWN}.")
        self._running = gauge("queue_running", f"Jobs in the hands of workers; {UNKNOWN}.")
        self._backlog = gauge(
            "queue_backlog_seconds",
            f"Predicted cost of what waits, each job at its cheapest; {UNKNOWN}.",
        )
        self._oldest = gauge(
            "queue_oldest_age_seconds", f"Age of the job that waits longest; {UNKNOWN}."
        )
        self._overdue = gauge(
            "queue_overdue_seconds",
            f"How long ago the most urgent job that waits had to start at the latest; {UNKNOWN}.",
        )
        self._memory_used = gauge("redis_memory_used_bytes", "Memory that a Redis uses.", "holds")
        self._memory_limit = gauge(
            "redis_memory_limit_bytes",
            "Memory that a Redis may use: its maxmemory, or all of its machine's without one.",
            "holds",
        )
        self._workers = gauge("workers_live", "Workers that are known to live, warm or not.")
        self._ready = gauge("workers_ready", "Workers that are known to be warm.")
        self._age = gauge(
            "snapshot_age_seconds", "How long ago this gateway looked at the workers and the queue."
        )

    def _machine_gauges(self) -> None:
        self._machines = {
            name: Gauge(f"anysr_{name}", f"{text} {SPREAD}", ("over",), registry=self.registry)
            for name, (text, _) in MACHINE_GAUGES.items()
        }

    def request(self, route: str, method: str, status: int, seconds: float, trace_id: str) -> None:
        """Count one answered request by the template of its route."""
        method = method if method in METHODS else "other"
        self._requests.labels(route, method, str(status)).inc()
        self._request_seconds.labels(route).observe(seconds, {"trace_id": trace_id})

    def rejected(self, code: str) -> None:
        """Count one request that admission refused."""
        self._rejected.labels(code).inc()

    def job_succeeded(self, job: Job, reason: str, seconds: float) -> None:
        """Count one job that ended with a picture, in some seconds."""
        self._jobs.labels(JobStatus.SUCCEEDED.value, reason).inc()
        slack_s = job.budget_ms / 1e3 - seconds
        self._budgets.labels("missed" if slack_s < 0 else "met").inc()
        trace_id = trace_id_of(job.traceparent)
        exemplar = {"trace_id": trace_id} if trace_id else None
        self._job_seconds.observe(seconds, exemplar)
        self._slack.observe(slack_s, exemplar)

    def job_failed(self, outcome: str, reason: str) -> None:
        """Count one job that ended without a picture: failed or cancelled."""
        self._jobs.labels(outcome, reason).inc()
        if reason in OUR_FAILURES:
            self._budgets.labels("missed").inc()

    def job_seen(self, view: JobView) -> None:
        """Count one job that ended, by what the queue says of it."""
        if view.status is JobStatus.SUCCEEDED:
            self.job_succeeded(view.job, why_ended(view), elapsed_of(view) / 1e3)
        else:
            self.job_failed(view.status.value, why_ended(view))

    def show(self, snapshot: Snapshot, age_s: float) -> None:
        """Show what is known of workers and queue."""
        self._age.set(age_s)
        self._workers.set(len(snapshot.workers))
        self._ready.set(sum(worker.ready for worker in snapshot.workers))
        stats = snapshot.stats
        self._depth.set(stats.queued if stats else math.nan)
        self._running.set(stats.running if stats else math.nan)
        self._backlog.set(stats.backlog_ms / 1e3 if stats else math.nan)
        self._oldest.set(stats.oldest_age_ms / 1e3 if stats else math.nan)
        self._overdue.set(stats.overdue_ms / 1e3 if stats else math.nan)
        self._counters.health = snapshot.health
        self._show_memory(snapshot.health)
        for name, (_, figure) in MACHINE_GAUGES.items():
            self._spread(self._machines[name], spread(map(figure, snapshot.workers)))

    def _show_memory(self, health: QueueHealth | None) -> None:
        for gauge in (self._memory_used, self._memory_limit):
            gauge.clear()
        for memory in health.memory if health else ():
            self._memory_used.labels(memory.holds).set(memory.used_bytes)
            self._memory_limit.labels(memory.holds).set(memory.limit_bytes)

    def _spread(self, gauge: Gauge, seen: Spread | None) -> None:
        gauge.clear()  # what nobody says is absent, not as it was
        if seen is not None:
            gauge.labels("min").set(seen.least)
            gauge.labels("mean").set(seen.mean)
            gauge.labels("max").set(seen.most)

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """Return all of it, and its content type: the one that the header Accept wants, of
        OpenMetrics, which has exemplars, and the Prometheus text format."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type


def why_ended(view: JobView) -> str:
    """Return the one word for log line and metric: the run's reason, or the error code."""
    if view.status is JobStatus.SUCCEEDED and view.facts is not None:
        return view.facts.reason.value
    if view.status is JobStatus.CANCELLED:
        return "job_cancelled"
    return view.error_code or "unknown"
