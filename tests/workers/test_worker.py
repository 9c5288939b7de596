"""The worker loop on a real queue: every way in which a job can end."""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
from PIL import Image
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from jobs.connection import connect
from jobs.embedded_redis import embedded_redis
from jobs.errors import AnysrError
from jobs.formats import ImageFormat
from jobs.job import Claim, JobStatus, LeaseState, OnMiss, Reason, RunFacts
from jobs.keys import Keys
from jobs.queue import Completion, Leases, NoTime
from jobs.redis_queue import RedisQueue
from jobs.settings import QueueSettings
from models.catalog import SHIPPED
from scheduling.cost_line import Line
from scheduling.rungs import ladder
from scheduling.stages import stage_of
from scheduling.tiling import tiling_of
from telemetry.spans import Untraced
from tests.support.redis_server import until_blocked
from tests.support.waiting import PATIENCE_S, eventually
from tests.workers.workbench import (
    LIMITS,
    ChangedLeases,
    Failing,
    Gated,
    RunClock,
    a_job,
    a_worker,
    at_work,
    costs_of,
    default_entry,
    models_of,
    photograph,
)
from workers.current_models import CurrentModels, LoadedModels
from workers.heartbeat import Heartbeat
from workers.loaded_model import LoadedModel
from workers.metrics import WorkerMetrics
from workers.runtimes.onnx import OnnxSession
from workers.watchdog import Watchdog
from workers.worker import Worker, WorkerParts


def open_session() -> Gated:
    session = Gated()
    session.gate.set()
    return session


def grain(width: int, height: int) -> bytes:
    """Noise of few bits as JPEG: a small upload whose upscaled PNG does not compress well."""
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, format="JPEG", quality=60)
    return buffer.getvalue()


def count(registry: CollectorRegistry, name: str, **labels: str) -> float:
    return registry.get_sample_value(name, labels) or 0.0


async def ended(queue: RedisQueue, job_id: str) -> Any:
    view = await queue.submissions.wait(job_id, PATIENCE_S)
    assert view.status not in (JobStatus.QUEUED, JobStatus.RUNNING)
    return view


async def test_a_picture_is_delivered_with_its_facts(queue: RedisQueue) -> None:
    registry = CollectorRegistry()
    models = models_of(OnnxSession(SHIPPED, default_entry(), threads=1))
    job = a_job(output_width=113, output_height=95, output_format=ImageFormat.JPEG, quality=80)
    await queue.submissions.submit(job, photograph())
    async with a_worker(queue, models, registry=registry):
        view = await ended(queue, job.id)
    assert view.status is JobStatus.SUCCEEDED
    picture = Image.open(io.BytesIO(await queue.submissions.result(view)))
    assert (picture.format, picture.size) == ("JPEG", (113, 95))
    facts = view.facts
    assert (facts.model, facts.width, facts.reason) == (job.model, 1.0, Reason.WIDEST)
    stages = {"queue", "decode", "load", "network", "encode"}  # it is the first run
    assert set(facts.stages_ms) == stages
    assert sum(facts.stages_ms.values()) - facts.stages_ms["queue"] <= facts.run_ms
    assert facts.predicted_ms == 12
    assert facts.expected_db is not None
    assert facts.expected_db_range is not None
    made = {"model": facts.model, "width": "1", "reason": "widest"}
    assert count(registry, "anysr_width_selected_total", **made) == 1
    assert count(registry, "anysr_job_stage_seconds_count", stage="network") == 1


async def test_a_worker_is_idle_while_it_has_no_job(queue: RedisQueue) -> None:
    metrics, session = WorkerMetrics(CollectorRegistry()), Gated()
    heartbeat = Heartbeat(queue.registry, "worker", metrics, every_s=0.1)
    current = CurrentModels(LoadedModels(models_of(session), costs_of(10)))
    watchdog = Watchdog(PATIENCE_S, queue.registry.count_stuck_worker)
    worker = Worker(
        WorkerParts(
            queue.leases, current, heartbeat, metrics, Untraced(), LIMITS, watchdog, 0.05, 0.1
        )
    )
    job = a_job()
    async with at_work(worker):
        await eventually(lambda: worker.idle_s > 0.05, "an idle worker")
        await queue.submissions.submit(job, photograph())
        await eventually(session.entered.is_set, "the start of the run")
        assert worker.idle_s == 0
        session.gate.set()
        await ended(queue, job.id)
        await eventually(lambda: worker.idle_s > 0.05, "an idle worker")


async def test_too_little_slack_for_any_network_is_resampled(queue: RedisQueue) -> None:
    job = a_job()
    await queue.submissions.submit(job, photograph())
    async with a_worker(queue, models_of(open_session()), costs_of(network_ms=10**6)):
        facts = (await ended(queue, job.id)).facts
    assert (facts.model, facts.width, facts.reason) == ("lanczos", 0, Reason.FLOOR)
    assert facts.expected_db is not None


async def test_slack_narrows_the_width(queue: RedisQueue) -> None:
    costs = costs_of(network_ms=10)
    for rung in ladder(default_entry())[1:]:
        costs.lines[stage_of(rung)] = Line(10**6, 0, 0)
    job = a_job()
    await queue.submissions.submit(job, photograph())
    async with a_worker(queue, models_of(open_session()), costs):
        facts = (await ended(queue, job.id)).facts
    assert (facts.width, facts.reason) == (default_entry().widths[0].width, Reason.SLACK)


async def test_jobs_that_wait_narrow_the_width(queue: RedisQueue) -> None:
    """Each alone would have time for the widest; all three together do not. The first run updates
    the costs, so only that one is bound by those given here."""
    costs = costs_of(network_ms=10)
    costs.lines[stage_of(ladder(default_entry())[-1])] = Line(30_000, 0, 0)
    jobs = [a_job(narrowest_ms=12) for _ in range(3)]
    for job in jobs:
        await queue.submissions.submit(job, photograph())
    async with a_worker(queue, models_of(open_session()), costs):
        facts = (await ended(queue, jobs[0].id)).facts
    assert (facts.width, facts.reason) == (default_entry().widths[-2].width, Reason.BACKLOG)


async def test_a_pinned_width_is_kept(queue: RedisQueue) -> None:
    job = a_job(pinned_width=0.5, budget_ms=1.0)
    await queue.submissions.submit(job, photograph())
    async with a_worker(queue, models_of(open_session())):
        facts = (await ended(queue, job.id)).facts
    assert (facts.width, facts.reason) == (0.5, Reason.PINNED)


async def test_measured_times_update_the_costs(queue: RedisQueue) -> None:
    costs = costs_of(network_ms=30_000)
    job = a_job()
    await queue.submissions.submit(job, photograph())
    async with a_worker(queue, models_of(open_session()), costs):
        await ended(queue, job.id)
    assert costs.slowdown["network"] < 1


async def test_an_unchanged_picture_does_not_update_network_costs(
    queue: RedisQueue,
) -> None:
    costs, session = costs_of(network_ms=1000), open_session()
    job = a_job(output_width=48, output_height=40)
    await queue.submissions.submit(job, photograph())
    async with a_worker(queue, models_of(session), costs):
        view = await ended(queue, job.id)
    assert (view.status, session.tiles) == (JobStatus.SUCCEEDED, 0)
    assert "network" not in costs.slowdown
    assert costs.margin == 1.0


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"model": "nothing"}, "unknown_model"), ({"pinned_width": 0.33}, "unknown_width")],
)
async def test_a_job_for_a_removed_model_or_width_fails_unrun(
    queue: RedisQueue, changes: dict[str, Any], code: str
) -> None:
    registry, session = CollectorRegistry(), open_session()
    job = a_job(**changes)
    await queue.submissions.submit(job, photograph())
    async with a_worker(queue, models_of(session), registry=registry):
        view = await ended(queue, job.id)
    assert (view.status, view.error_code) == (JobStatus.FAILED, code)
    assert view.error_detail is not None
    assert job.requirement in view.error_detail
    assert session.tiles == 0


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"min_db": 99.0}, "unknown_model"),
        ({"output_width": 4000, "output_height": 4000}, "output_too_large"),
        ({"output_width": 47}, "invalid_request"),
        ({"source_width": 47}, "invalid_request"),
        (
            {"output_width": 20_000, "output_height": 40, "output_format": ImageFormat.WEBP},
            "output_too_large",
        ),
    ],
)
async def test_an_impossible_job_fails_with_its_error_code(
    queue: RedisQueue, changes: dict[str, Any], code: str
) -> None:
    registry, session = CollectorRegistry(), open_session()
    job = a_job(**changes)
    await queue.submissions.submit(job, photograph())
    async with a_worker(queue, models_of(session), registry=registry):
        view = await ended(queue, job.id)
    assert (view.status, view.error_code) == (JobStatus.FAILED, code)
    assert count(registry, "anysr_runs_total", outcome="failed", reason=code) == 1
    assert session.tiles == 0


@pytest.mark.parametrize(
    ("payload", "code"),
    [(photograph()[:-900], "corrupt_image"), (b"not an image", "unsupported_image")],
)
async def test_bad_bytes_fail_with_an_error_code(
    queue: RedisQueue, payload: bytes, code: str
) -> None:
    job = a_job()
    await queue.submissions.submit(job, payload)
    async with a_worker(queue, models_of(open_session())):
        assert (await ended(queue, job.id)).error_code == code


async def test_a_picture_runs_in_smaller_tiles_where_memory_is_short(queue: RedisQueue) -> None:
    session, sides = open_session(), {"source_width": 300, "source_height": 400}
    job = a_job(output_width=600, output_height=800, **sides)
    await queue.submissions.submit(job, photograph(300, 400))
    async with a_worker(queue, models_of(session), available_bytes=80_000_000):
        view = await ended(queue, job.id)
    assert view.status is JobStatus.SUCCEEDED
    assert view.facts.tiles == session.tiles > 1


async def test_a_picture_that_fits_no_memory_is_refused_before_it_is_decoded(
    queue: RedisQueue,
) -> None:
    session, job = open_session(), a_job()
    await queue.submissions.submit(job, photograph()[:-900])  # decoding would end in corrupt_image
    async with a_worker(queue, models_of(session), available_bytes=20_000):
        view = await ended(queue, job.id)
    assert (view.status, view.error_code) == (JobStatus.FAILED, "overloaded")
    assert view.error_details["retry_after_s"] > 0
    assert session.tiles == 0


async def test_a_picture_that_redis_cannot_hold_fails_at_once(
    queue_settings: QueueSettings, open_queue: Callable[[str, QueueSettings], RedisQueue]
) -> None:
    """Its bytes are known once it is encoded; it is not made again."""
    session, registry = open_session(), CollectorRegistry()
    sides = {"source_width": 700, "source_height": 700, "output_width": 1400, "output_height": 1400}
    large, small = a_job(**sides), a_job()
    with embedded_redis() as url:
        client = connect(url)
        await client.config_set("proto-max-bulk-len", 1 << 20)
        await client.aclose()
        queue = open_queue(url, queue_settings)
        async with a_worker(queue, models_of(session), registry=registry):
            await queue.submissions.submit(large, grain(700, 700))
            view = await ended(queue, large.id)
            await queue.submissions.submit(small, photograph())
            assert (await ended(queue, small.id)).status is JobStatus.SUCCEEDED
        await queue.close()
    assert (view.status, view.error_code, view.attempt) == (
        JobStatus.FAILED,
        "output_too_large",
        1,
    )
    assert "smaller scale" in view.error_detail
    assert view.error_details == {"max_bytes": 1 << 20}
    gone = {"outcome": "failed", "reason": "output_too_large"}
    assert count(registry, "anysr_runs_total", **gone) == 1
    assert session.tiles == 2


async def test_reject_ends_in_an_error_when_nothing_fits(queue: RedisQueue) -> None:
    job = a_job(on_miss=OnMiss.REJECT)
    await queue.submissions.submit(job, photograph())
    async with a_worker(queue, models_of(open_session()), costs_of(network_ms=10**6)):
        assert (await ended(queue, job.id)).error_code == "deadline_exceeded"


async def test_reject_ends_in_an_error_when_the_prediction_was_wrong(
    queue: RedisQueue, run_clock: RunClock
) -> None:
    session = Gated()
    job = a_job(on_miss=OnMiss.REJECT, budget_ms=60_000)
    async with a_worker(queue, models_of(session)):
        await queue.submissions.submit(job, photograph())
        await eventually(session.entered.is_set, "the start of the run")
        run_clock.ahead_s = 60.0
        session.gate.set()
        assert (await ended(queue, job.id)).error_code == "deadline_exceeded"


@pytest.mark.parametrize("error", [RuntimeError("a bug"), KeyError("x")])
async def test_a_bug_ends_one_job_and_not_the_worker(queue: RedisQueue, error: Exception) -> None:
    first, second = a_job(), a_job()
    await queue.submissions.submit(first, photograph())
    async with a_worker(queue, models_of(Failing(error))):
        assert (await ended(queue, first.id)).error_code == "internal_error"
        await queue.submissions.submit(second, photograph())
        assert (await ended(queue, second.id)).status is JobStatus.SUCCEEDED


async def test_a_cancelled_job_stops_at_the_next_tile(queue: RedisQueue) -> None:
    session, registry, leases = Gated(), CollectorRegistry(), ChangedLeases(queue.leases)
    job, models = a_job(), models_of(session, tile_pixels=200)
    async with a_worker(leases.of(queue), models, registry=registry):
        await queue.submissions.submit(job, photograph())
        await eventually(session.entered.is_set, "the start of the run")
        assert (await queue.submissions.cancel(job.id)).status is JobStatus.CANCELLED
        await eventually(lambda: LeaseState.CANCELLED in leases.renewals, "a refused renewal")
        session.gate.set()
        gone = {"outcome": "cancelled", "reason": "cancelled"}
        await eventually(
            lambda: count(registry, "anysr_runs_total", **gone) == 1, "the end of the cancelled run"
        )
        assert session.tiles == 1
    assert (await queue.submissions.view(job.id)).status is JobStatus.CANCELLED


async def test_a_worker_is_busy_until_its_cancelled_run_has_returned(queue: RedisQueue) -> None:
    session, leases = Gated(), ChangedLeases(queue.leases)
    job, models = a_job(), models_of(session, tile_pixels=200)

    async def busy() -> bool:
        [heartbeat] = await queue.registry.heartbeats()
        return heartbeat.busy

    async def idle() -> bool:
        return not await busy() and (await queue.submissions.stats()).running == 0

    async def late() -> bool:
        """Whether the queue refuses a job that has to start at once, for one worker."""
        soon = a_job(budget_ms=200.0, cheapest_ms=10.0)
        try:
            await queue.submissions.submit(soon, photograph(), workers=1)
        except NoTime:
            return True
        await queue.submissions.cancel(soon.id)
        return False

    async with a_worker(leases.of(queue), models):
        await queue.submissions.submit(job, photograph())
        await eventually(session.entered.is_set, "the start of the run")
        await eventually(busy, "a heartbeat of the busy worker")
        await queue.submissions.cancel(job.id)
        await eventually(
            lambda: leases.renewals.count(LeaseState.CANCELLED) >= 3,
            "renewals while the thread still runs",
        )
        assert (await queue.submissions.stats()).running == 1
        assert await busy()
        assert await late()
        session.gate.set()
        await eventually(idle, "an idle worker")
        assert not await late()


async def test_worker_that_waited_shows_at_once_that_it_is_awake(
    queue: RedisQueue, raw_redis: Redis, queue_settings: QueueSettings
) -> None:
    session, job, keys = Gated(), a_job(), Keys(queue_settings.namespace)

    async def shown() -> bool:
        return await raw_redis.hget(keys.record(job.id), "handed") == b""

    async with a_worker(queue, models_of(session, 200), wait_s=3600.0, renew_s=3600.0):
        await until_blocked(raw_redis, 1)
        await queue.submissions.submit(job, photograph())
        await eventually(session.entered.is_set, "the start of the run")
        await eventually(shown, "a renewal long before the next one is due")
        session.gate.set()
        view = await ended(queue, job.id)
    assert (view.status, view.attempt) == (JobStatus.SUCCEEDED, 1)


async def test_worker_that_slept_leaves_its_job_to_the_one_that_has_it(
    queue: RedisQueue, raw_redis: Redis, queue_settings: QueueSettings
) -> None:
    """The first renewal tells it so; the run is not ended for the other one."""
    session, job, keys = Gated(), a_job(), Keys(queue_settings.namespace)
    leases = SleepingLeases(queue.leases)
    async with a_worker(leases.of(queue), models_of(session, 200), wait_s=3600.0):
        await until_blocked(raw_redis, 1)
        await queue.submissions.submit(job, photograph())
        await eventually(leases.claimed.is_set, "a job that was handed over")
        await raw_redis.zadd(keys.leases, {job.id: 0.0}, xx=True)
        other = await queue.leases.claim("other", 0)
        assert other is not None
        leases.awake.set()
        await eventually(lambda: leases.renewals, "its first renewal")
        session.gate.set()
        assert leases.renewals[0] is LeaseState.LOST
        assert await queue.leases.renew(other, 0.5) is LeaseState.HELD
        assert other.attempt == 1
        facts = RunFacts("anysr-s", 1.0, Reason.WIDEST, 20.0, 21.5)
        await queue.leases.complete(other, facts, b"result")
    assert (await ended(queue, job.id)).token == other.token


class SleepingLeases(ChangedLeases):
    """Hands the first job on only when it is `awake`."""

    def __init__(self, leases: Leases) -> None:
        super().__init__(leases)
        self.claimed, self.awake = asyncio.Event(), asyncio.Event()

    async def claim(self, *arguments: Any) -> Claim | None:
        claim = await self._leases.claim(*arguments)
        self.claimed.set()
        await self.awake.wait()
        return claim


async def test_worker_that_waits_is_woken_by_jobs_of_models_that_it_has_loaded_since(
    queue: RedisQueue, raw_redis: Redis
) -> None:
    metrics, session = WorkerMetrics(CollectorRegistry()), open_session()
    heartbeat = Heartbeat(queue.registry, "worker", metrics, every_s=0.1)
    other = default_entry().model_copy(update={"name": "other"})
    before = {other.name: LoadedModel(other, session, tiling_of(other, 10**6))}
    current = CurrentModels(LoadedModels(before, costs_of(10)))
    watchdog = Watchdog(PATIENCE_S, queue.registry.count_stuck_worker)
    parts = (queue.leases, current, heartbeat, metrics, Untraced(), LIMITS, watchdog, 0.05, 3600.0)
    job = a_job()
    async with at_work(Worker(WorkerParts(*parts))):
        await until_blocked(raw_redis, 1)
        current.loaded = LoadedModels(models_of(session), costs_of(10))
        await queue.submissions.submit(job, photograph())
        assert (await ended(queue, job.id)).status is JobStatus.SUCCEEDED


async def test_the_lease_is_kept_while_a_job_runs(
    queue: RedisQueue, raw_redis: Redis, queue_settings: QueueSettings
) -> None:
    session, job, leases = Gated(), a_job(), Keys(queue_settings.namespace).leases

    async def renewed() -> bool:
        return bool(await raw_redis.zscore(leases, job.id))

    async with a_worker(queue, models_of(session, 200)):
        await queue.submissions.submit(job, photograph())
        await eventually(session.entered.is_set, "the start of the run")
        await raw_redis.zadd(leases, {job.id: 0.0}, xx=True)  # it has run out
        await eventually(renewed, "a renewal of the lease")
        assert await queue.leases.claim("thief", 0) is None
        session.gate.set()
        view = await ended(queue, job.id)
    assert (view.status, view.attempt) == (JobStatus.SUCCEEDED, 1)
    assert view.facts.tiles == session.tiles > 1


class DeliveringLeases(ChangedLeases):
    """Leases that report when a delivery begins."""

    def __init__(self, leases: Leases) -> None:
        super().__init__(leases)
        self.delivering = asyncio.Event()

    async def complete_and_claim(
        self,
        claim: Claim,
        facts: RunFacts,
        picture: bytes,
        worker_id: str,
        capabilities: Iterable[str] = (),
    ) -> Completion:
        self.delivering.set()
        following = worker_id, capabilities
        return await self._leases.complete_and_claim(claim, facts, picture, *following)


async def test_the_lease_is_kept_while_a_picture_is_delivered(
    redis_url: str,
    queue_settings: QueueSettings,
    open_queue: Callable[[str, QueueSettings], RedisQueue],
) -> None:
    """To a second Redis that takes several times as long as a lease lasts."""
    with embedded_redis() as blob_url:
        lasting = {"blob_url": blob_url, "lease_seconds": 0.5}
        queue = open_queue(redis_url, queue_settings.model_copy(update=lasting))
        session, job, leases = Gated(), a_job(), DeliveringLeases(queue.leases)
        blobs = connect(blob_url)
        async with contextlib.aclosing(blobs), a_worker(leases.of(queue), models_of(session)):
            await queue.submissions.submit(job, photograph())
            await eventually(session.entered.is_set, "the start of the run")
            await blobs.execute_command("CLIENT", "PAUSE", 3_600_000, "WRITE")
            session.gate.set()
            await eventually(leases.delivering.is_set, "the delivery")
            before = len(leases.renewals)
            await eventually(lambda: len(leases.renewals) >= before + 30, "renewals meanwhile")
            assert await queue.leases.claim("thief", 0) is None
            assert set(leases.renewals) == {LeaseState.HELD}
            await blobs.execute_command("CLIENT", "UNPAUSE")
            view = await ended(queue, job.id)
    assert (view.status, view.attempt) == (JobStatus.SUCCEEDED, 1)


async def test_stopping_finishes_the_current_job(queue: RedisQueue) -> None:
    session = Gated()
    job, late = a_job(), a_job()
    async with a_worker(queue, models_of(session)) as stopping:
        await queue.submissions.submit(job, photograph())
        await eventually(session.entered.is_set, "the start of the run")
        await queue.submissions.submit(late, photograph())
        stopping.set()
        session.gate.set()
        assert (await ended(queue, job.id)).status is JobStatus.SUCCEEDED
    assert (await queue.submissions.view(late.id)).status is JobStatus.QUEUED
    assert await queue.registry.heartbeats() == []


async def test_an_idle_worker_stops_at_once(
    queue: RedisQueue, raw_redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever its claim's timeout."""
    monkeypatch.setattr("jobs.wakeup.POLL_S", 3600.0)
    first = a_job()
    async with a_worker(queue, models_of(open_session()), wait_s=3600.0) as stopping:
        await queue.submissions.submit(first, photograph())
        await ended(queue, first.id)
        await until_blocked(raw_redis, 1)  # it waits again
        stopping.set()
    late = a_job()
    await queue.submissions.submit(late, photograph())
    assert (await queue.submissions.view(late.id)).status is JobStatus.QUEUED


async def test_the_heartbeat_reports_a_running_job(queue: RedisQueue) -> None:
    session = Gated()
    job = a_job()

    async def reported() -> bool:
        return any(heartbeat.busy for heartbeat in await queue.registry.heartbeats())

    async with a_worker(queue, models_of(session)):
        await queue.submissions.submit(job, photograph())
        await eventually(session.entered.is_set, "the start of the run")
        await eventually(reported, "a heartbeat of the busy worker")
        [heartbeat] = await queue.registry.heartbeats()
        assert (heartbeat.ready, heartbeat.models) == (True, (job.model,))
        assert f"network:{job.model}@1" in heartbeat.costs["lines"]
        session.gate.set()


class FlakyLeases(ChangedLeases):
    """Leases whose first claims and completions fail with an outage."""

    def __init__(self, leases: Leases, outages: int) -> None:
        super().__init__(leases)
        self._claims = self._completions = outages

    async def claim(self, *arguments: Any) -> Claim | None:
        if self._claims:
            self._claims -= 1
            raise ConnectionError("away")
        return await self._leases.claim(*arguments)

    async def complete_and_claim(self, *arguments: Any) -> Completion:
        if self._completions:
            self._completions -= 1
            raise ConnectionError("away")
        return await self._leases.complete_and_claim(*arguments)


async def test_outages_are_waited_out(queue: RedisQueue) -> None:
    job = a_job()
    await queue.submissions.submit(job, photograph())
    leases = FlakyLeases(queue.leases, outages=2)
    async with a_worker(leases.of(queue), models_of(open_session())):
        assert (await ended(queue, job.id)).status is JobStatus.SUCCEEDED


async def test_a_result_that_comes_too_late_is_dropped(queue: RedisQueue) -> None:
    """The lease is lost before the picture is done, so the result is refused."""
    session, registry = Gated(), CollectorRegistry()
    job = a_job()

    class Unrenewable(ChangedLeases):
        """Leases that cannot be renewed."""

        async def renew(self, claim: Claim, progress: float) -> LeaseState:
            raise ConnectionError(f"away at {progress} of {claim.job.id}")

    leases = Unrenewable(queue.leases)
    async with a_worker(leases.of(queue), models_of(session), registry=registry):
        await queue.submissions.submit(job, photograph())
        await eventually(session.entered.is_set, "the start of the run")
        await queue.submissions.cancel(job.id)
        session.gate.set()
        lost = {"outcome": "lost", "reason": "lost"}
        await eventually(
            lambda: count(registry, "anysr_runs_total", **lost) == 1, "the end of the lost run"
        )
    with pytest.raises(AnysrError):
        await queue.submissions.result(await queue.submissions.view(job.id))
