"""The record of one run, from its claim to its end: metrics, one log line, and a span."""

from __future__ import annotations

import logging
import time
from typing import Any

from jobs.errors import AnysrError
from jobs.job import Claim, LeaseState, RunFacts
from telemetry.spans import Tracing
from telemetry.trace_context import read_traceparent, trace_id_of
from workers.metrics import WorkerMetrics
from workers.pipeline import PipelineResult
from workers.rung_choice import RungChoice

log = logging.getLogger("anysr.workers.runs")


class RunRecord:
    """Records a run. Its span begins when the job was submitted, so the time in the queue is a
    stage like the others: queue, bind, decode, network, encode, deliver."""

    def __init__(
        self, claim: Claim, worker_id: str, metrics: WorkerMetrics, tracing: Tracing
    ) -> None:
        self._metrics = metrics
        self._trace_id = trace_id_of(claim.job.traceparent)
        queue_ms = max(0.0, claim.claimed_ms - claim.submitted_ms)
        self._facts: dict[str, Any] = {
            "request_id": claim.job.id,
            "worker": worker_id,
            **({} if claim.job.client is None else {"client": claim.job.client}),
            "attempt": claim.attempt,
            "queue_ms": round(queue_ms, 2),
            "slack_ms": round(claim.slack_ms, 2),
        }
        now_s = time.time()
        parent, since_s = read_traceparent(claim.job.traceparent), now_s - queue_ms / 1e3
        self._span = tracing.begin("run", "consumer", parent, since_s)
        self._span.enter("queue", since_s)
        self._span.enter("bind", now_s)
        self._executing_since_s = now_s

    def bound(self, choice: RungChoice) -> None:
        """Record the decision; the first stage of the execution begins."""
        option = choice.decision.option
        self._facts |= {
            "model": option.rung.model,
            "width": option.rung.width,
            "reason": choice.decision.reason.value,
            "predicted_ms": round(option.expected_ms, 2),
        }
        self._executing_since_s = time.time()
        self._span.enter("decode", self._executing_since_s)

    def made(self, result: PipelineResult) -> None:
        """Record the stages of the execution; the delivery begins."""
        at_s = self._executing_since_s
        following = (*result.stages_ms, "deliver")[1:]
        for (stage, milliseconds), after in zip(result.stages_ms.items(), following, strict=True):
            self._facts[f"{stage}_ms"] = round(milliseconds, 2)
            at_s += milliseconds / 1e3
            self._span.enter(after, at_s)

    def succeeded(self, facts: RunFacts) -> None:
        """Record a delivered picture."""
        self._metrics.made(facts, self._trace_id)
        self._end(
            "succeeded",
            logging.INFO,
            model=facts.model,  # both may have changed after the first binding
            width=facts.width,
            reason=facts.reason.value,
            run_ms=round(facts.run_ms, 2),
        )

    def failed(self, error: AnysrError) -> None:
        """Record the error that the job ends with."""
        self._metrics.failed(error.code)
        self._end("failed", logging.INFO, reason=error.code, detail=error.detail)

    def dropped(self, state: LeaseState) -> None:
        """Record a result that nobody accepts: the job was cancelled, or the lease was lost."""
        self._metrics.dropped(state.value)
        self._end(state.value, logging.INFO, reason=state.value)

    def undelivered(self, error: ConnectionError) -> None:
        """Record that the queue is away; the job is run again when its lease has run out."""
        self._end("undelivered", logging.WARNING, reason="queue_away", detail=str(error))

    def _end(self, outcome: str, level: int, **more: Any) -> None:
        facts = {**self._facts, **more, "outcome": outcome}
        error = None if outcome == "succeeded" else facts["reason"]
        self._span.end("run", {f"anysr.{name}": value for name, value in facts.items()}, error)
        log.log(level, "run %s", outcome, extra=facts)
