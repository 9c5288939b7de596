"""What the gateway tells Prometheus. Base units, and no label that a caller could grow."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector

from jobs.job import JobStatus, JobView
from service.snapshot import Snapshot

LATENCY_BUCKETS = (
    *(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75),
    *(1.0, 1.5, 2.5, 5.0, 7.5, 10.0, 15.0, 30.0, 60.0, 120.0),
)
SLACK_BUCKETS = (
    *(-60.0, -30.0, -10.0, -5.0, -2.5, -1.0, -0.5, -0.25, -0.1, -0.05, 0.0),
    *(0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


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
        ProcessCollector(registry=self.registry)

    def _queue_gauges(self) -> None:
        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"anysr_{name}", text, registry=self.registry)

        self._depth = gauge("queue_depth", "Jobs that wait.")
        self._running = gauge("queue_running", "Jobs in the hands of workers.")
        self._backlog = gauge(
            "queue_backlog_seconds", "Predicted cost of what waits, each job at its cheapest."
        )
        self._oldest = gauge("queue_oldest_age_seconds", "Age of the job that waits longest.")
        self._workers = gauge("workers_live", "Workers that live, warm or not.")
        self._ready = gauge("workers_ready", "Workers that are warm.")

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count one answered request by the template of its route."""
        method = method if method in METHODS else "other"
        self._requests.labels(route, method, str(status)).inc()
        self._request_seconds.labels(route).observe(seconds)

    def rejected(self, code: str) -> None:
        """Count one request that admission refused."""
        self._rejected.labels(code).inc()

    def job_ended(self, outcome: str, reason: str, seconds: float, budget_s: float) -> None:
        """Count one job that ended; only a picture has a duration and a slack."""
        self._jobs.labels(outcome, reason).inc()
        if outcome == JobStatus.SUCCEEDED:
            self._job_seconds.observe(seconds)
            self._slack.observe(budget_s - seconds)

    def job_seen(self, view: JobView) -> None:
        """Count one job that ended, by what the queue says of it."""
        finished = view.finished_ms if view.finished_ms is not None else view.deadline_ms
        budget_s = view.job.budget_ms / 1e3
        seconds = (finished - view.deadline_ms) / 1e3 + budget_s
        self.job_ended(view.status.value, why_ended(view), seconds, budget_s)

    def snapshot(self, taken: Snapshot) -> None:
        """Show a new snapshot of workers and queue."""
        self._workers.set(len(taken.workers))
        self._ready.set(sum(worker.ready for worker in taken.workers))
        if taken.stats is not None:
            self._depth.set(taken.stats.queued)
            self._running.set(taken.stats.running)
            self._backlog.set(taken.stats.backlog_ms / 1e3)
            self._oldest.set(taken.stats.oldest_age_ms / 1e3)

    def exposition(self) -> bytes:
        """Return all of it in the Prometheus text format."""
        return generate_latest(self.registry)


def why_ended(view: JobView) -> str:
    """Return the one word for log line and metric: the run's reason, or the error code."""
    if view.status is JobStatus.SUCCEEDED and view.facts is not None:
        return view.facts.reason.value
    if view.status is JobStatus.CANCELLED:
        return "job_cancelled"
    return view.error_code or "unknown"
