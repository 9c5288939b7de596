"""Small jobs run beside a picture that is decoded or encoded, and beside nothing else."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from images.encode import encode
from images.picture import Picture
from jobs.formats import ImageFormat
from jobs.job import JobStatus, JobView, Reason
from jobs.redis_queue import RedisQueue
from scheduling.cost_line import Line
from scheduling.cost_model import CostModel
from scheduling.stages import DECODE, encode_stage
from tests.support.waiting import PATIENCE_S, eventually
from tests.workers.test_preemption import (
    SOME_POLLS_S,
    TILE_PIXELS,
    Stepwise,
    begun,
    ended,
)
from tests.workers.workbench import RunClock, a_job, a_worker, costs_of, models_of, photograph
from workers import decoders
from workers.decoders import Decoders
from workers.memory import CONCURRENT_JOB_BYTES
from workers.pipeline import Decode


class Gate:
    """Holds each call of a function until it is opened."""

    def __init__(self) -> None:
        self.calls = 0
        self._opened = threading.Event()

    def open(self) -> None:
        self._opened.set()

    def close(self) -> None:
        self._opened.clear()

    def wait(self) -> None:
        self.calls += 1
        assert self._opened.wait(PATIENCE_S), "nobody opened the gate"


def hold_encoding(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have each encoding of a PNG wait for a gate."""

    def gated(picture: Picture, image_format: ImageFormat, *rest: Any) -> bytes:
        if image_format is ImageFormat.PNG:
            gate.wait()
        return encode(picture, image_format, *rest)

    monkeypatch.setattr("workers.pipeline.encode", gated)


class GatedDecoders:
    """The first decoder waits for its gate, the second does not."""

    def __init__(self) -> None:
        self.gate = Gate()
        self.prepared = threading.Event()

    def first(self, slack_s: float) -> Decode:
        plain = decoders.Decoders().first(slack_s)

        def decode(data: bytes, max_pixels: int, frame: int | None) -> Picture:
            self.gate.wait()
            return plain(data, max_pixels, frame)

        return decode

    def as_parts(self) -> Decoders:
        return Decoders(first=self.first, prepare=self.prepared.set)


def costs_with_slow_files(decoding_ms: float = 20_000, encoding_ms: float = 20_000) -> CostModel:
    """Decoding and encoding take most of the time, networks hardly any."""
    costs = costs_of(network_ms=1.0)
    costs.lines[DECODE] = Line(decoding_ms, 0, 0)
    costs.lines[encode_stage(ImageFormat.PNG.value)] = Line(encoding_ms, 0, 0)
    return costs


def a_short_job(**changes: object):
    """Takes a small part of what the others take, and can wait for longer."""
    return a_job(**{"budget_ms": 600_000, "cheapest_ms": 100.0, **changes})


async def status_of(queue: RedisQueue, job_id: str) -> JobStatus:
    view: JobView = await queue.submissions.view(job_id)
    return view.status


async def test_a_small_job_runs_while_a_picture_is_decoded(queue: RedisQueue) -> None:
    session, files = Stepwise(), GatedDecoders()
    session.finish()
    long, short = a_job(budget_ms=200_000), a_short_job()
    async with a_worker(
        queue, models_of(session), costs_with_slow_files(), decoders=files.as_parts()
    ):
        await queue.submissions.submit(long, photograph())
        await eventually(lambda: files.gate.calls, "the decoding")
        await queue.submissions.submit(short, photograph())
        first = await ended(queue, short.id)
        assert await status_of(queue, long.id) is JobStatus.RUNNING
        assert files.prepared.is_set()
        files.gate.open()
        second = await ended(queue, long.id)
    assert first.finished_ms < second.finished_ms
    assert "yielded" in second.facts.stages_ms


async def test_a_network_waits_for_the_job_beside_its_decoding(queue: RedisQueue) -> None:
    session, files = Stepwise(), GatedDecoders()
    long, short = a_job(budget_ms=200_000), a_short_job()
    async with a_worker(
        queue, models_of(session), costs_with_slow_files(), decoders=files.as_parts()
    ):
        await queue.submissions.submit(long, photograph())
        await eventually(lambda: files.gate.calls, "the decoding")
        await queue.submissions.submit(short, photograph())
        await begun(session)
        files.gate.open()
        await asyncio.sleep(SOME_POLLS_S)  # the network of the other picture could begin
        assert len(session.widths) == 1
        session.finish()
        first, second = await ended(queue, short.id), await ended(queue, long.id)
    assert first.finished_ms < second.finished_ms


async def test_a_small_job_runs_while_a_picture_is_encoded(
    queue: RedisQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, gate = Stepwise(), Gate()
    session.finish()
    long, short = a_job(budget_ms=200_000), a_short_job(output_format=ImageFormat.JPEG)

    hold_encoding(gate, monkeypatch)
    async with a_worker(queue, models_of(session), costs_with_slow_files()):
        await queue.submissions.submit(long, photograph())
        await eventually(lambda: gate.calls, "the encoding")
        await queue.submissions.submit(short, photograph())
        first = await ended(queue, short.id)
        assert await status_of(queue, long.id) is JobStatus.RUNNING
        gate.open()
        second = await ended(queue, long.id)
    assert first.finished_ms < second.finished_ms


async def test_a_picture_is_delivered_while_the_job_beside_its_encoding_goes_on(
    queue: RedisQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no further job begins until that one has ended."""
    session, gate = Stepwise(), Gate()
    long, short = a_job(budget_ms=200_000), a_short_job(output_format=ImageFormat.JPEG)
    later = a_job(budget_ms=600_000, output_format=ImageFormat.JPEG)

    hold_encoding(gate, monkeypatch)
    async with a_worker(queue, models_of(session), costs_with_slow_files()):
        await queue.submissions.submit(long, photograph())
        await begun(session)
        session.steps.release()
        await eventually(lambda: gate.calls, "the encoding")
        await queue.submissions.submit(short, photograph())
        await begun(session, 2)
        gate.open()
        first = await ended(queue, long.id)
        assert await status_of(queue, short.id) is JobStatus.RUNNING
        await queue.submissions.submit(later, photograph())
        await asyncio.sleep(SOME_POLLS_S)
        assert await status_of(queue, later.id) is JobStatus.QUEUED
        session.finish()
        second, third = await ended(queue, short.id), await ended(queue, later.id)
    assert first.finished_ms < second.finished_ms < third.finished_ms


async def test_jobs_run_beside_a_picture_that_takes_longer_than_expected(
    queue: RedisQueue, run_clock: RunClock
) -> None:
    """Also beside one that is late: that one goes on, and nobody gains by waiting for it."""
    session, files = Stepwise(), GatedDecoders()
    session.finish()
    costs = costs_with_slow_files(decoding_ms=10.0, encoding_ms=10.0)
    async with a_worker(queue, models_of(session), costs, decoders=files.as_parts()):
        long = a_job(budget_ms=30_000)
        await queue.submissions.submit(long, photograph())
        await eventually(lambda: files.gate.calls, "the decoding")
        for run_clock.ahead_s in (5.0, 60.0):
            short = a_short_job()
            await queue.submissions.submit(short, photograph())
            await ended(queue, short.id)
        assert await status_of(queue, long.id) is JobStatus.RUNNING
        files.gate.open()
        await ended(queue, long.id)


async def test_a_job_that_can_wait_is_not_resampled_for_going_first(queue: RedisQueue) -> None:
    """The picture can spare about 2 s: enough to resample the other, not for its network."""
    session, files = Stepwise(), GatedDecoders()
    session.finish()
    long = a_job(budget_ms=42_000)
    other = a_short_job(cheapest_ms=100.0, narrowest_ms=3_000.0)
    costs = costs_with_slow_files()
    async with a_worker(queue, models_of(session), costs, decoders=files.as_parts()):
        await queue.submissions.submit(long, photograph())
        await eventually(lambda: files.gate.calls, "the decoding")
        await queue.submissions.submit(other, photograph())
        await asyncio.sleep(SOME_POLLS_S)
        assert await status_of(queue, other.id) is JobStatus.QUEUED
        files.gate.open()
        first, second = await ended(queue, long.id), await ended(queue, other.id)
    assert first.finished_ms < second.finished_ms
    assert second.facts.reason is not Reason.FLOOR


@pytest.mark.parametrize(
    ("changes", "available_bytes"),
    [
        ({"output_width": 384, "output_height": 2_000}, None),
        ({"cheapest_ms": 10_000.0}, None),
        ({"narrowest_ms": 10_000.0}, None),
        ({}, CONCURRENT_JOB_BYTES - 1),
    ],
    ids=["not small", "neither short nor urgent", "a network that is not short", "no memory"],
)
async def test_other_jobs_wait_until_a_picture_is_decoded(
    queue: RedisQueue, changes: dict[str, object], available_bytes: int | None
) -> None:
    session, files = Stepwise(), GatedDecoders()
    session.finish()
    long, other = a_job(budget_ms=200_000), a_short_job(**changes)
    async with a_worker(
        queue,
        models_of(session),
        costs_with_slow_files(),
        available_bytes=available_bytes,
        decoders=files.as_parts(),
    ):
        await queue.submissions.submit(long, photograph())
        await eventually(lambda: files.gate.calls, "the decoding")
        await queue.submissions.submit(other, photograph())
        await asyncio.sleep(SOME_POLLS_S)
        assert await status_of(queue, other.id) is JobStatus.QUEUED
        files.gate.open()
        first, second = await ended(queue, long.id), await ended(queue, other.id)
    assert first.finished_ms < second.finished_ms


async def test_a_picture_without_time_to_spare_is_decoded_alone(queue: RedisQueue) -> None:
    session, files = Stepwise(), GatedDecoders()
    session.finish()
    long, short = a_job(budget_ms=41_000), a_short_job(cheapest_ms=2_000.0)
    async with a_worker(
        queue, models_of(session), costs_with_slow_files(), decoders=files.as_parts()
    ):
        await queue.submissions.submit(long, photograph())
        await eventually(lambda: files.gate.calls, "the decoding")
        await queue.submissions.submit(short, photograph())
        await asyncio.sleep(SOME_POLLS_S)
        assert await status_of(queue, short.id) is JobStatus.QUEUED
        files.gate.open()
        await ended(queue, long.id)
        await ended(queue, short.id)


async def test_a_job_beside_another_is_no_measure_of_costs(queue: RedisQueue) -> None:
    session, files, costs = Stepwise(), GatedDecoders(), costs_with_slow_files()
    session.finish()
    long, short = a_job(budget_ms=200_000), a_short_job()
    async with a_worker(queue, models_of(session), costs, decoders=files.as_parts()):
        await queue.submissions.submit(long, photograph())
        await eventually(lambda: files.gate.calls, "the decoding")
        await queue.submissions.submit(short, photograph())
        await ended(queue, short.id)
        learnt = costs.to_dict()
        files.gate.open()
        await ended(queue, long.id)
    assert costs.to_dict() == learnt


async def test_a_run_that_preempts_another_gives_way_to_small_jobs(queue: RedisQueue) -> None:
    """The first is suspended between two tiles, the second is decoded, and the third is done."""
    session, files = Stepwise(), GatedDecoders()
    costs = costs_with_slow_files(encoding_ms=60_000)
    first, small = a_job(budget_ms=600_000), a_short_job()
    sizes = {"output_width": 1_000, "output_height": 1_000}
    urgent = a_job(budget_ms=100_000, cheapest_ms=90_000.0, **sizes)
    assert not urgent.small
    async with a_worker(queue, models_of(session, TILE_PIXELS), costs, decoders=files.as_parts()):
        files.gate.open()
        await queue.submissions.submit(first, photograph())
        await begun(session)
        files.gate.close()
        await queue.submissions.submit(urgent, photograph())
        session.steps.release()
        await eventually(lambda: files.gate.calls == 2, "the decoding of the urgent picture")
        await queue.submissions.submit(small, photograph())
        session.finish()
        third = await ended(queue, small.id)
        for job in (first, urgent):
            assert await status_of(queue, job.id) is JobStatus.RUNNING
        files.gate.open()
        views = [await ended(queue, job.id) for job in (urgent, first)]
    assert third.finished_ms < views[0].finished_ms < views[1].finished_ms
