"""Metrics of the gateway: base units, and no label whose values a caller could multiply.

Figures of the queue and of the workers come from Redis, so every gateway exports the same ones:
aggregate these by max, and what a gateway counts itself by sum.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from jobs.errors import (
    BucketDenied,
    DataLoss,
    DeadlineExceeded,
    InternalError,
    RemoteRefused,
    RemoteTooSlow,
    RemoteUnreachable,
    WorkerLost,
)
from jobs.heartbeat import GpuState, MachineState
from jobs.job import DeliveryKind, Job, JobRequest, JobStatus, JobView
from jobs.queue import Attempt, AttemptOutcome
from jobs.queue_health import QueueHealth
from service.picture_response import deadline_text
from service.snapshot import LiveWorker, Snapshot
from service.spread import Spread, spread
from telemetry.build import package_version, runtime
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
OUR_FAILURES = frozenset(
    {DataLoss.code, DeadlineExceeded.code, InternalError.code, WorkerLost.code, "unknown"}
)
"""Error codes of admitted jobs that failed through the service's fault: missed budgets."""
BUCKET_FAULTS = frozenset(
    {BucketDenied.code, RemoteRefused.code, RemoteTooSlow.code, RemoteUnreachable.code}
)
"""Error codes of fetches from a bucket that its operator has to mend, and no caller."""
BUCKET_LABELS, PICTURES = ("holds",), "pictures"
"""Label of the bucket's gauges, without which they could not be absent, and its only value."""
READ, WRITE = "read", "write"
"""Operations on a bucket."""
MOST_CLIENTS = 100
HIT, MISS = "hit", "miss"
"""Outcomes of a look into the result cache."""
OTHER_CLIENTS = "*"
"""Label of all further clients; no client has this name."""
DONE = "done"
"""Outcome of what went well; no error has this code."""
UNKNOWN = "NaN while the queue cannot be reached"
SPREAD = "Minimum, mean and maximum over the workers."


def _machine(figure: Callable[[MachineState], float | None]) -> WorkerFigure:
    return lambda worker: (
        None if worker.heartbeat.machine is None else figure(worker.heartbeat.machine)
    )


def _gpu(figure: Callable[[GpuState], float | None]) -> WorkerFigure:
    return _machine(lambda machine: None if machine.gpu is None else figure(machine.gpu))


MACHINE_GAUGES: dict[str, tuple[str, WorkerFigure]] = {
    "anysr_worker_pace_ratio": (
        "Recent network time over the calibrated one; above 1 is slower.",
        lambda worker: worker.slowdown if worker.ready else None,
    ),
    "anysr_worker_costs_disturbed": (
        "1 if other processes used the machine while costs were measured, until measured again.",
        lambda worker: float(bool(worker.costs.disturbed)) if worker.ready else None,
    ),
    "anysr_machine_cpu_load_ratio": (
        "Part of all cores' time in which programs ran, 0 to 1.",
        _machine(lambda machine: machine.cpu_load),
    ),
    "anysr_machine_cpu_steal_ratio": (
        "Part of all cores' time that the hypervisor gave to other machines, 0 to 1.",
        _machine(lambda machine: machine.cpu_steal),
    ),
    "anysr_machine_memory_available_bytes": (
        "Memory that is still available to programs.",
        _machine(lambda machine: machine.memory_available_bytes),
    ),
    "anysr_machine_memory_total_bytes": (
        "Memory of the machine.",
        _machine(lambda machine: machine.memory_total_bytes),
    ),
    "anysr_machine_gpu_load_ratio": (
        "Part of the time in which the GPU computed, 0 to 1.",
        _gpu(lambda gpu: gpu.load),
    ),
    "anysr_machine_gpu_memory_used_bytes": (
        "GPU memory in use.",
        _gpu(lambda gpu: gpu.memory_used_bytes),
    ),
    "anysr_machine_gpu_memory_total_bytes": (
        "Memory of the GPU.",
        _gpu(lambda gpu: gpu.memory_total_bytes),
    ),
}
"""Name -> (help, figure of one worker). Not labelled by worker, whose ids grow without bound."""


QUEUE_COUNTS: dict[str, tuple[str, Callable[[QueueHealth], int]]] = {
    "anysr_redeliveries": (
        "Jobs that were given to another worker because theirs was lost.",
        lambda health: health.redeliveries,
    ),
    "anysr_dead_letters": (
        "Jobs that failed because too many workers were lost with them.",
        lambda health: health.dead_letters,
    ),
    "anysr_worker_starts": (
        "Worker processes that have started.",
        lambda health: health.worker_starts,
    ),
    "anysr_stuck_workers": (
        "Worker processes that hung and were replaced.",
        lambda health: health.stuck_workers,
    ),
    "anysr_webhooks_delivered": (
        "Webhooks that their receivers took.",
        lambda health: health.webhooks_delivered,
    ),
    "anysr_webhook_failures": (
        "Attempts to deliver a webhook that failed.",
        lambda health: health.webhook_failures,
    ),
    "anysr_webhooks_dead": (
        "Webhooks that were given up.",
        lambda health: health.webhooks_dead,
    ),
    "anysr_results_delivered": (
        "Pictures that were put where their callers wanted them.",
        lambda health: health.results_delivered,
    ),
    "anysr_result_failures": (
        "Attempts to put a picture somewhere that failed.",
        lambda health: health.result_failures,
    ),
    "anysr_results_dead": (
        "Pictures that could not be put where their callers wanted them.",
        lambda health: health.results_dead,
    ),
}
"""Name -> (help, count); counted once, in Redis, and absent while it cannot be reached. The client
library appends `_total` to the names of all counters, here and below."""


class QueueCounters(Collector):
    """Counters of the queue, as of the last snapshot."""

    def __init__(self) -> None:
        self.health: QueueHealth | None = None

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Yield each counter."""
        for name, (text, count) in QUEUE_COUNTS.items():
            if self.health is not None:
                yield CounterMetricFamily(name, text, value=count(self.health))
        if self.health is not None:
            yield self._batch_sources(self.health)

    def _batch_sources(self, health: QueueHealth) -> CounterMetricFamily:
        text = "Sources of batches that ended, by the state in which they did."
        family = CounterMetricFamily("anysr_batch_sources", text, labels=("outcome",))
        for outcome, number in health.batch_sources.items():
            family.add_metric((outcome,), number)
        return family


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
        self._problems = Counter(
            "anysr_http_problems",
            "Requests that were answered by a problem, by its code.",
            ("code",),
            registry=self.registry,
        )
        self._request_seconds = Histogram(
            "anysr_http_request_duration_seconds",
            "Time from the head of a request to the end of its answer, including the upload.",
            ("route",),
            buckets=LATENCY_BUCKETS,
            registry=self.registry,
        )
        self._jobs = Counter(
            "anysr_jobs",
            "Jobs that ended; the reason is that of the chosen width, or the error code.",
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
            "Admitted jobs by whether their budget was met or missed: late, or failed through the "
            "service's fault. Jobs that were cancelled or hold no valid picture are neither.",
            ("outcome",),
            registry=self.registry,
        )
        for outcome in ("met", "missed"):
            self._budgets.labels(outcome)  # exported as 0 from the start, so a first miss is a rise
        self._slack = Histogram(
            "anysr_deadline_slack_seconds",
            "Budget left when the answer was finished; negative when it was late.",
            buckets=SLACK_BUCKETS,
            registry=self.registry,
        )
        self._rejected = Counter(
            "anysr_admission_rejected",
            "Requests with a valid picture that admission refused, by error code.",
            ("reason",),
            registry=self.registry,
        )
        self._traffic()
        self._queue_gauges()
        self._machine_gauges()
        self._counters = QueueCounters()
        self.registry.register(self._counters)
        ProcessCollector(registry=self.registry)

    def _traffic(self) -> None:
        self._pixels = Counter(
            "anysr_pixels",
            "Pixels of pictures; in: of those admitted, out: of those made.",
            ("direction",),
            registry=self.registry,
        )
        self._bytes = Counter(
            "anysr_picture_bytes",
            "Bytes of encoded pictures; in: of those admitted, out: of those sent to their end.",
            ("direction",),
            registry=self.registry,
        )
        for counter in (self._pixels, self._bytes):
            counter.labels("in")
            counter.labels("out")
        self._of_the_cache()
        self._by_client()
        self._outbound()
        build = Gauge(
            "anysr_build_info",
            "1, with the version of the service and of what it runs on.",
            ("version", "runtime"),
            registry=self.registry,
        )
        build.labels(package_version(), runtime()).set(1)

    def _of_the_cache(self) -> None:
        self._cache_requests = Counter(
            "anysr_cache_requests",
            "Requests that looked for a cached picture, by outcome.",
            ("outcome",),
            registry=self.registry,
        )
        for outcome in (HIT, MISS):
            self._cache_requests.labels(outcome)
        self._cache_evictions = Counter(
            "anysr_cache_evictions",
            "Cached pictures that this gateway dropped to make room.",
            registry=self.registry,
        )
        self._cache_bytes = Gauge(
            "anysr_cache_bytes", "Bytes of all cached pictures.", registry=self.registry
        )

    def _by_client(self) -> None:
        self._clients: set[str] = set()
        self._client_requests = Counter(
            "anysr_client_requests",
            f"Requests answered, by client; of {MOST_CLIENTS} clients by name.",
            ("client", "status"),
            registry=self.registry,
        )
        self._client_pixels = Counter(
            "anysr_client_pixels",
            "Output pixels of the jobs that were accepted, by client.",
            ("client",),
            registry=self.registry,
        )

    def _outbound(self) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, labels, registry=self.registry)

        def histogram(name: str, text: str, label: str) -> Histogram:
            return Histogram(name, text, (label,), buckets=LATENCY_BUCKETS, registry=self.registry)

        self._fetches = counter(
            "anysr_fetches",
            f"Pictures fetched for requests; outcome: {DONE}, or the error code.",
            *("source", "outcome"),
        )
        self._fetch_seconds = histogram(
            "anysr_fetch_duration_seconds", "Time to fetch a picture, or to fail.", "source"
        )
        self._fetched_bytes = counter(
            "anysr_fetched_bytes", "Bytes of pictures that were fetched whole.", "source"
        )
        self._deliveries = counter(
            "anysr_delivery_attempts",
            f"Attempts to deliver a webhook or a picture; outcome: {DONE}, the class of the status "
            "such as 5xx, or the error code.",
            *("kind", "outcome"),
        )
        self._delivery_seconds = histogram(
            "anysr_delivery_duration_seconds", "Time of an attempt to deliver.", "kind"
        )
        self._bucket_failures = counter(
            "anysr_bucket_failures",
            "Attempts to read from a bucket or to write to it that the store refused, or did not "
            "answer.",
            "operation",
        )
        for operation in (READ, WRITE):
            self._bucket_failures.labels(operation)
        self._stored_bytes = counter(
            "anysr_stored_bytes", "Bytes of pictures that were put where their callers wanted them."
        )

    def _queue_gauges(self) -> None:
        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(name, text, labels, registry=self.registry)

        self._depth = gauge("anysr_queue_depth", f"Waiting jobs; {UNKNOWN}.")
        self._running = gauge(
            "anysr_queue_running",
            f"Runs of workers, also withdrawn ones until they stop; {UNKNOWN}.",
        )
        self._backlog = gauge(
            "anysr_queue_backlog_seconds",
            f"Predicted cost of the waiting jobs, each at its cheapest; {UNKNOWN}.",
        )
        self._oldest = gauge(
            "anysr_queue_oldest_age_seconds", f"Age of the oldest waiting job; {UNKNOWN}."
        )
        self._overdue = gauge(
            "anysr_queue_overdue_seconds",
            f"Time since the latest start of the most urgent waiting job; {UNKNOWN}.",
        )
        self._webhooks = gauge(
            "anysr_webhooks_waiting",
            f"Webhooks that are due, or will be tried again; {UNKNOWN}.",
        )
        self._results = gauge(
            "anysr_results_waiting",
            f"Pictures that are to be put somewhere, or will be tried again; {UNKNOWN}.",
        )
        self._batches = gauge("anysr_batches_open", f"Batches that have not ended; {UNKNOWN}.")
        self._memory_used = gauge(
            "anysr_redis_memory_used_bytes", "Memory that a Redis uses.", "holds"
        )
        self._memory_limit = gauge(
            "anysr_redis_memory_limit_bytes",
            "Memory that a Redis may use: its maxmemory, else all memory of its machine.",
            "holds",
        )
        self._bucket_objects = gauge(
            "anysr_bucket_objects", "Pictures in the bucket of ANYSR_BLOB_URL.", *BUCKET_LABELS
        )
        self._bucket_used = gauge(
            "anysr_bucket_used_bytes", "Bytes of these pictures.", *BUCKET_LABELS
        )
        self._bucket_limit = gauge(
            "anysr_bucket_limit_bytes", "Bytes that they may have: ANYSR_BLOB_MB.", *BUCKET_LABELS
        )
        self._workers = gauge("anysr_workers_live", "Live workers, warm or not.")
        self._ready = gauge("anysr_workers_ready", "Warm workers.")
        self._age = gauge(
            "anysr_snapshot_age_seconds", "Age of this gateway's snapshot of workers and queue."
        )

    def _machine_gauges(self) -> None:
        self._machines = {
            name: Gauge(name, f"{text} {SPREAD}", ("over",), registry=self.registry)
            for name, (text, _) in MACHINE_GAUGES.items()
        }

    def problem(self, code: str) -> None:
        """Count one request that was answered by the problem of this code."""
        self._problems.labels(code).inc()

    def bucket_failed(self, operation: str) -> None:
        """Count one failure of a bucket, to `READ` or to `WRITE`."""
        self._bucket_failures.labels(operation).inc()

    def request(self, route: str, method: str, status: int, seconds: float, trace_id: str) -> None:
        """Count one answered request, by the template of its route."""
        method = method if method in METHODS else "other"
        self._requests.labels(route, method, str(status)).inc()
        self._request_seconds.labels(route).observe(seconds, {"trace_id": trace_id})

    def picture_admitted(self, job: JobRequest, size: int) -> None:
        """Count a picture of `size` bytes whose job is in the queue."""
        self._pixels.labels("in").inc(job.source_width * job.source_height)
        self._bytes.labels("in").inc(size)
        if job.client is not None:
            pixels = job.output_width * job.output_height
            self._client_pixels.labels(self._label_of(job.client)).inc(pixels)

    def fetch(self, source: str, outcome: str, seconds: float, size: int = 0) -> None:
        """Count a picture that was fetched from a `source`, http or s3: `DONE`, or the code of its
        error."""
        self._fetches.labels(source, outcome).inc()
        self._fetch_seconds.labels(source).observe(seconds)
        self._fetched_bytes.labels(source).inc(size)
        if source == "s3" and outcome in BUCKET_FAULTS:
            self.bucket_failed(READ)

    def delivery(self, kind: DeliveryKind, attempt: Attempt, seconds: float) -> None:
        """Count an attempt to deliver."""
        self._deliveries.labels(kind.value, _outcome_of(attempt)).inc()
        self._delivery_seconds.labels(kind.value).observe(seconds)

    def picture_stored(self, size: int) -> None:
        """Count the bytes of a picture that was put where its caller wanted it."""
        self._stored_bytes.inc(size)

    def picture_sent(self, size: int) -> None:
        """Count a picture of `size` bytes that its caller has taken to the end."""
        self._bytes.labels("out").inc(size)

    def cache_asked(self, *, hit: bool) -> None:
        """Count one request that looked for a cached picture."""
        self._cache_requests.labels(HIT if hit else MISS).inc()

    def cache_observed(self, total_bytes: int, evicted: int) -> None:
        """Show the bytes of all cached pictures, and count those that were dropped."""
        self._cache_bytes.set(total_bytes)
        self._cache_evictions.inc(evicted)

    def client_request(self, client: str, status: int) -> None:
        """Count one answered request of a client."""
        self._client_requests.labels(self._label_of(client), str(status)).inc()

    def _label_of(self, client: str) -> str:
        """Return the client's name as a label: those of the first `MOST_CLIENTS`, then one for all
        others, so that a file of thousands of clients makes no thousands of series."""
        if len(self._clients) < MOST_CLIENTS:
            self._clients.add(client)
        return client if client in self._clients else OTHER_CLIENTS

    def rejected(self, code: str) -> None:
        """Count one request that admission refused, by error code."""
        self._rejected.labels(code).inc()

    def job_succeeded(self, job: Job, reason: str, elapsed_ms: float) -> None:
        """Count one job that ended with a picture, `elapsed_ms` after the end of its upload."""
        self._jobs.labels(JobStatus.SUCCEEDED.value, reason).inc()
        self._budgets.labels(deadline_text(job, elapsed_ms)).inc()
        self._pixels.labels("out").inc(job.output_width * job.output_height)
        trace_id = trace_id_of(job.traceparent)
        exemplar = {"trace_id": trace_id} if trace_id else None
        self._job_seconds.observe(elapsed_ms / 1e3, exemplar)
        self._slack.observe((job.budget_ms - elapsed_ms) / 1e3, exemplar)

    def job_failed(self, outcome: str, reason: str) -> None:
        """Count one job that ended without a picture: failed or cancelled."""
        self._jobs.labels(outcome, reason).inc()
        if reason in OUR_FAILURES:
            self._budgets.labels("missed").inc()

    def job_seen(self, view: JobView) -> None:
        """Count one job that ended, by its record in the queue."""
        if view.status is JobStatus.SUCCEEDED:
            self.job_succeeded(view.job, why_ended(view), view.elapsed_ms)
        else:
            self.job_failed(view.status.value, why_ended(view))

    def show(self, snapshot: Snapshot, age_s: float) -> None:
        """Set the gauges from a snapshot and its age."""
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
        self._webhooks.set(snapshot.health.webhooks_waiting if snapshot.health else math.nan)
        self._results.set(snapshot.health.results_waiting if snapshot.health else math.nan)
        self._batches.set(snapshot.health.batches_open if snapshot.health else math.nan)
        self._show_memory(snapshot.health)
        self._show_bucket(snapshot.health)
        for name, (_, figure) in MACHINE_GAUGES.items():
            self._spread(self._machines[name], spread(map(figure, snapshot.workers)))

    def _show_memory(self, health: QueueHealth | None) -> None:
        for gauge in (self._memory_used, self._memory_limit):
            gauge.clear()
        for memory in health.memory if health else ():
            self._memory_used.labels(memory.holds).set(memory.used_bytes)
            self._memory_limit.labels(memory.holds).set(memory.limit_bytes)

    def _show_bucket(self, health: QueueHealth | None) -> None:
        """Set the gauges of the bucket, which are absent where there is none, or none is known."""
        for gauge in (self._bucket_objects, self._bucket_used, self._bucket_limit):
            gauge.clear()
        if health is not None and health.bucket is not None:
            self._bucket_objects.labels(PICTURES).set(health.bucket.objects)
            self._bucket_used.labels(PICTURES).set(health.bucket.used_bytes)
            self._bucket_limit.labels(PICTURES).set(health.bucket.limit_bytes)

    def _spread(self, gauge: Gauge, seen: Spread | None) -> None:
        gauge.clear()  # a figure that no worker reports is absent, not stale
        if seen is not None:
            gauge.labels("min").set(seen.least)
            gauge.labels("mean").set(seen.mean)
            gauge.labels("max").set(seen.most)

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """Return all metrics and their content type, by the request's Accept header: OpenMetrics,
        which has exemplars, or the Prometheus text format."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type


def why_ended(view: JobView) -> str:
    """Return why a job ended, for log line and metric: the run's reason, or the error code."""
    if view.status is JobStatus.SUCCEEDED and view.facts is not None:
        return view.facts.reason.value
    if view.status is JobStatus.CANCELLED:
        return "job_cancelled"
    return view.error_code or "unknown"


def _outcome_of(attempt: Attempt) -> str:
    """Return the outcome of an attempt in a few words, of which a receiver can make no others."""
    if attempt.outcome is AttemptOutcome.DELIVERED:
        return DONE
    return f"{attempt.answer[:1]}xx" if attempt.answer.isdecimal() else attempt.answer
