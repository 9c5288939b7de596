"""A walk through every call of a queue, for tests of what its scripts touch and where they run."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import replace

from jobs.batch import BatchItem, BatchOrder, ItemState, NewBatch
from jobs.cached_pictures import CacheBounds
from jobs.client_limits import ClientLimits
from jobs.errors import InternalError
from jobs.heartbeat import WorkerHeartbeat
from jobs.job import Claim, DeliveryKind, Job, JobStatus, JobView, LeaseState, Reason, RunFacts
from jobs.queue import Attempt, AttemptOutcome, BatchHold, Delivery, DeliveryState, Gap, JobQueue
from jobs.terms import Idempotency, ResultTarget, Terms, WebhookTarget

FACTS = RunFacts("anysr-s", 1.0, Reason.WIDEST, 1.0, 1.0)
LIMITS = ClientLimits(
    client="shop", requests_per_second=100.0, burst=100, pixels_per_day=10**9, jobs_waiting=2
)
KEY = Idempotency("once", "fingerprint", "shop")
TERMS = Terms(
    KEY,
    WebhookTarget("https://hooks.example/end", "hooks.example"),
    ResultTarget("https://put.example", "put.example", "https://put.example/secret"),
)
BOUNDS = CacheBounds(total_bytes=100_000, picture_bytes=60_000, age_s=60)
WINDOW_S = 60.0
LEASES_S = dict.fromkeys(DeliveryKind, 60.0)
DELIVERED = Attempt(AttemptOutcome.DELIVERED, "200")
FAILED = Attempt(AttemptOutcome.FAILED, "503")
REFUSED = Attempt(AttemptOutcome.REFUSED, "410")


class QueueWalk:
    """Walks through the calls of a queue, and asserts what each answers."""

    def __init__(self, queue: JobQueue, make_job: Callable[..., Job]) -> None:
        self._queue = queue
        self._make_job = make_job

    async def all(self) -> None:
        """Make every call at least once."""
        await self.workers()
        done = await self.job_with_terms()
        await self.deliveries(done)
        await self.ends()
        await self.cached_picture()
        await self.batches()

    async def workers(self) -> None:
        registry = self._queue.registry
        for name in ("one", "two"):
            beat = WorkerHeartbeat(name, True, ("anysr-s",), {}, capabilities=("anysr-s",))
            await registry.publish_heartbeat(beat)
        await registry.retire_worker("two")
        assert [beat.worker_id for beat in await registry.heartbeats()] == ["one"]
        number = await registry.request_reload()
        assert await registry.reloads() == number
        await registry.request_model("anysr-l")
        assert "anysr-l" in await registry.requested_models()

    async def job_with_terms(self) -> JobView:
        """A job of a client, with a key, to be put somewhere and announced; return its end."""
        queue = self._queue
        assert (await queue.clients.allow(LIMITS, submits=True)).refusal is None
        job = self._make_job(client="shop")
        view = await queue.submissions.submit(job, b"picture", 0.0, 2, LIMITS, TERMS)
        again = await queue.submissions.submit(
            replace(job, id="another---"), b"picture", 0.0, 2, LIMITS, TERMS
        )
        earlier = await queue.submissions.earlier(KEY)
        assert earlier is not None
        assert again.job.id == earlier.job.id == view.job.id
        claim = await self._claimed()
        assert claim.payload == b"picture"
        await queue.leases.report_expected_end(claim, 1e3)
        assert await queue.leases.renew(claim, 0.5) is LeaseState.HELD
        await queue.submissions.submit(self._make_job(), b"next")
        done = await queue.leases.complete_and_claim(claim, FACTS, b"result", "one")
        following = done.following or await self._claimed()
        assert await queue.leases.fail(following, InternalError("as intended"))
        ended = await queue.submissions.wait(view.job.id, 10.0)
        assert ended.status is JobStatus.SUCCEEDED
        assert await queue.submissions.result(ended) == b"result"
        assert await queue.submissions.result_bytes(ended) == len(b"result")
        return ended

    async def deliveries(self, ended: JobView) -> None:
        """The picture is refused and sent again; the webhook fails, and is then delivered."""
        deliveries = self._queue.deliveries
        await deliveries.wait(0.01, asyncio.Event())
        picture = await self._delivery(ended.job.id)
        assert (picture.kind, picture.url) == (DeliveryKind.RESULT, "https://put.example/secret")
        assert await deliveries.end(picture, REFUSED, WINDOW_S) is DeliveryState.DEAD
        assert [view.job.id for view in await deliveries.dead(10) if isinstance(view, JobView)] == [
            ended.job.id
        ]
        assert await deliveries.resend(ended.job.id)
        picture = await self._delivery(ended.job.id)
        assert await deliveries.end(picture, DELIVERED, WINDOW_S) is DeliveryState.DELIVERED
        webhook = await self._delivery(ended.job.id)
        assert webhook.kind is DeliveryKind.WEBHOOK
        assert await deliveries.end(webhook, FAILED, WINDOW_S) is DeliveryState.WAITING
        webhook = await self._delivery(ended.job.id)
        assert await deliveries.end(webhook, DELIVERED, WINDOW_S) is DeliveryState.DELIVERED

    async def ends(self) -> None:
        """Jobs that are withdrawn, waiting and running, and one that is looked for."""
        queue = self._queue
        waiting = await queue.submissions.submit(self._make_job(client="shop"), b"picture")
        assert (await queue.submissions.stats("shop", 2)).queued == 1
        cancelled = await queue.submissions.cancel(waiting.job.id)
        assert cancelled.status is JobStatus.CANCELLED
        running = await queue.submissions.submit(self._make_job(client="shop"), bytes(100_000))
        claim = await self._claimed()
        assert len(claim.payload) == 100_000
        gap = Gap(math.inf, math.inf, run=claim.job.id)
        assert await queue.leases.claim_urgent("one", gap) is None
        await queue.submissions.cancel(running.job.id)
        assert await queue.leases.renew(claim, 0.5) is LeaseState.CANCELLED
        await queue.leases.report_stopped(claim)
        assert not await queue.leases.complete(claim, FACTS, b"too late")
        assert (await queue.registry.health()).webhooks_delivered == 1

    async def cached_picture(self) -> None:
        """A result is kept, found, and the result of another job; a second one takes its room."""
        cached, group = self._queue.cached, "g" * 40
        first = await self._succeeded(bytes(50_000))
        assert (await cached.keep(first, group, "v1", BOUNDS, move=True)).kept
        (found,) = await cached.variants(group)
        assert await cached.picture(found) == bytes(50_000)
        job, once = self._make_job(), Terms(Idempotency("cached", "f", "shop"))
        hit = await cached.end_job(found, job, 0.0, once)
        assert hit is not None
        assert await self._queue.submissions.result(hit) == bytes(50_000)
        same = await cached.end_job(found, self._make_job(), 0.0, once)
        assert same is not None
        assert same.job.id == hit.job.id
        second = await self._succeeded(bytes(60_000))
        kept = await cached.keep(second, group, "v2", BOUNDS, move=False)
        assert (kept.kept, kept.evicted) == (True, 1)
        await cached.remember_validator("link", "tag", 60)
        assert (await cached.validator("link") or ("", 0))[0] == "tag"
        await self._queue.submissions.drop_results([second, hit])

    async def batches(self) -> None:
        """A batch of two sources with a webhook, of which one is made and one withdrawn."""
        batches, order = self._queue.batches, BatchOrder("shop", {})
        items = tuple(BatchItem(f"https://pictures.example/{n}") for n in range(2))
        terms = Terms(Idempotency("batch", "f", "shop"), TERMS.webhook)
        made = await batches.create(NewBatch("0" * 32, order, items), 10, 10, terms)
        again = await batches.create(NewBatch("1" * 32, order, items), 10, 10, terms)
        assert again.id == made.id
        await batches.create(NewBatch("2" * 32, order, items), 10, 10)
        leases = {lease.batch_id: lease for lease in await batches.claim(10)}
        held = leases[made.id]
        await batches.release(leases["2" * 32])
        assert await batches.renew(held) is BatchHold.HELD
        assert (await batches.items(made.id, 0, 2))[1].image_url == items[1].image_url
        done = items[0].moved(ItemState.SUCCEEDED)
        assert await batches.record(held, 0, done) is BatchHold.HELD
        assert (await batches.cancel(made.id)).ended
        webhook = await self._delivery(f"batch-{made.id}")
        assert await self._queue.deliveries.end(webhook, DELIVERED, WINDOW_S) is (
            DeliveryState.DELIVERED
        )

    async def _claimed(self) -> Claim:
        claim = await self._queue.leases.claim("one", 10.0)
        assert claim is not None
        return claim

    async def _succeeded(self, picture: bytes) -> JobView:
        view = await self._queue.submissions.submit(self._make_job(), b"picture")
        await self._queue.leases.complete(await self._claimed(), FACTS, picture)
        return await self._queue.submissions.view(view.job.id)

    async def _delivery(self, name: str) -> Delivery:
        found, _ = await self._queue.deliveries.claim(1, 1, {}, LEASES_S)
        (delivery,) = found
        assert delivery.id == name
        return delivery
