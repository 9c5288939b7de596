"""The load generator: open and closed loops, latency from the intended time, all outcomes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import httpx
import numpy as np
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from benchmarks.load import AnysrEndpoint, FormEndpoint, Sample, send, summarise
from benchmarks.rivals import OURS, compare
from benchmarks.served_rate import served_rate
from models.catalog import read_catalog, resampled_db
from scheduling.rungs import Rung
from scheduling.simulation.workload import Kind, Workload, closed_loop

SLOW_S = 0.4


class Service:
    """A real HTTP server that is slow on purpose, and records its requests."""

    def __init__(self) -> None:
        self.asked: list[tuple[float, dict[str, str], bytes]] = []
        self.model = "m"
        self.width = "0.5"
        self.reason = "slack"

    async def upscale(self, request: Request) -> Response:
        at = asyncio.get_running_loop().time()
        self.asked.append((at, dict(request.query_params), await request.body()))
        if request.query_params.get("model") == "refused":
            return Response(status_code=429)
        await asyncio.sleep(SLOW_S)
        headers = {
            "X-AnySR-Model": self.model,
            "X-AnySR-Width": self.width,
            "X-AnySR-Reason": self.reason,
            "X-AnySR-Expected-Db": "31.5",
            "X-AnySR-Deadline": "met",
            "X-AnySR-Predicted-Ms": "10",
            "X-AnySR-Elapsed-Ms": "11",
        }
        return Response(b"picture", headers=headers)


@contextlib.asynccontextmanager
async def serving(service: Service) -> AsyncIterator[str]:
    routes = [
        Route("/upscale", service.upscale, methods=["POST"]),
        Route("/other/2", service.upscale, methods=["POST"]),
    ]
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(Starlette(routes=routes), log_level="error")
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve([listening]))
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event to wait for
            await asyncio.sleep(0.01)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        await task


def workload(*arrivals_and_budgets: tuple[float, float]) -> Workload:
    arrivals, budgets = np.array(arrivals_and_budgets).T
    return Workload(arrivals, budgets, np.zeros(len(arrivals), np.int64), (Kind(32, 24, 2.0),))


async def test_a_slow_answer_delays_no_later_request() -> None:
    service = Service()
    async with serving(service) as url:
        work = workload(*((50.0 * n, 300.0 if n % 2 else 5000.0) for n in range(6)))
        samples = await send(url, work, AnysrEndpoint({"anysr_width": "0.5"}))
    starts = [at for at, _, _ in service.asked]
    assert max(starts) - min(starts) < SLOW_S  # all were under way before the first answer
    assert all(s.latency_ms >= 1e3 * SLOW_S for s in samples)
    assert [s.met for s in samples] == [True, False] * 3
    summary = summarise(samples)
    assert summary.attainment == 0.5
    assert summary.broken_promises == 0.5  # the server reported `met` for all
    assert summary.mean_db == 31.5
    assert summary.rungs == {"m@0.5": 1.0}
    assert summary.reasons == {"slack": 1.0}
    parameters = service.asked[0][1]
    assert parameters["anysr_width"] == "0.5"
    assert float(parameters["scale"]) == 2.0
    assert service.asked[0][2].startswith(b"\xff\xd8")


async def test_latency_counts_from_the_intended_time() -> None:
    """The event loop is blocked while requests are due; their latency includes that."""
    service = Service()

    def block_once(done: int) -> None:
        if done == 1:
            import time

            time.sleep(0.5)

    async with serving(service) as url:
        samples = await send(url, workload((0, 9000), (600, 9000)), AnysrEndpoint(), block_once)
    late = samples[1]
    assert late.sent_late_ms > 100
    assert late.latency_ms >= late.sent_late_ms + 1e3 * SLOW_S - 5


async def test_refusals_and_missing_answers_are_outcomes() -> None:
    service = Service()
    async with serving(service) as url:
        refused = await send(url, workload((0, 1000)), AnysrEndpoint({"model": "refused"}))
    silent = await send(url, workload((0, 200)), AnysrEndpoint())  # the server has ended
    summary = summarise(refused + silent)
    assert (summary.refused, summary.failed, summary.attainment) == (0.5, 0.5, 0.0)
    assert summary.admitted_attainment == 0.0
    assert summary.statuses == {"429": 1, "0": 1}
    assert summary.mean_db is None


async def test_another_service_gets_its_own_form_fields() -> None:
    service = Service()
    endpoint = FormEndpoint("/other/{scale_int}", "file", {"ms": "{budget_ms:.0f}"})
    async with serving(service) as url:
        (sample,) = await send(url, workload((0, 2000)), endpoint)
    assert sample.status == httpx.codes.OK
    body = service.asked[0][2]
    assert b'name="file"' in body
    assert b'name="ms"\r\n\r\n2000' in body


async def test_in_a_closed_loop_each_request_waits_for_the_answer_before() -> None:
    service = Service()
    requests = closed_loop(6, 2, think_ms=20.0, mix=[(Kind(32, 24, 2.0), 1.0)])
    async with serving(service) as url:
        samples = await send(url, requests, AnysrEndpoint())
    for mine, following in zip(samples, samples[2:], strict=False):
        assert following.at_ms >= mine.at_ms + 1e3 * SLOW_S
    assert len(service.asked) == 6


async def test_resampled_pictures_count_with_the_quality_of_resampling() -> None:
    service = Service()
    service.model, service.reason = "lanczos", "behind"
    requests = Workload(np.zeros(1), np.full(1, 2000.0), np.zeros(1, int), (Kind(32, 24, 2.0),))
    async with serving(service) as url:
        (sample,) = await send(url, requests, AnysrEndpoint())
    assert sample.db == resampled_db(2.0)
    assert summarise([sample]).mean_db == resampled_db(2.0)


def test_a_summary_needs_a_sample() -> None:
    nothing: list[Sample] = []
    with pytest.raises(ValueError, match="no request"):
        summarise(nothing)


async def test_rivals_get_the_same_requests_with_a_network_of_their_own() -> None:
    service, reported = Service(), list[int]()
    service.model, service.width = "anysr-s", "1"
    work = workload((0, 5000), (10, 5000))
    async with serving(service) as url:
        found = await compare(url, work, [Rung("anysr-s", 1.0)], reported.append)
    assert list(found) == [OURS, "anysr-s@1"]
    assert sorted(reported) == [1, 2, 3, 4]
    ours, pinned = service.asked[:2], service.asked[2:]
    assert not any("model" in parameters for _, parameters, _ in ours)
    wanted = {"model": "anysr-s", "anysr_width": "1", "on_miss": "reject"}
    for (_, parameters, body), (_, same, picture) in zip(pinned, ours, strict=True):
        assert parameters == {**same, **wanted}
        assert body == picture


async def test_the_loss_is_what_the_best_network_of_the_ladder_has_more() -> None:
    service = Service()
    service.model, service.width = "anysr-s", "1"
    async with serving(service) as url:
        networks = summarise(await send(url, workload((0, 5000)), AnysrEndpoint()))
        service.model, service.width = "lanczos", "0"
        resampled = summarise(await send(url, workload((0, 5000)), AnysrEndpoint()))
    entries = [e for e in read_catalog().models if e.chosen_freely]
    best = max(e.expected_db(e.widths[-1].width, 2.0) or 0.0 for e in entries)
    (small,) = (e for e in entries if e.name == "anysr-s")
    assert networks.loss_db == pytest.approx(best - (small.expected_db(1.0, 2.0) or 0.0))
    assert resampled.loss_db == pytest.approx(best - resampled_db(2.0), abs=0.01)


async def test_the_loss_of_all_counts_a_dropped_request_as_resampled() -> None:
    service = Service()
    service.model, service.width = "anysr-s", "1"
    async with serving(service) as url:
        answered = await send(url, workload((0, 5000)), AnysrEndpoint())
        refused = await send(url, workload((0, 5000)), AnysrEndpoint({"model": "refused"}))
        service.model, service.width = "lanczos", "0"
        resampled = await send(url, workload((0, 5000)), AnysrEndpoint())
    alone, dropped = summarise(answered), summarise(answered + refused)
    assert alone.loss_of_all_db == alone.loss_db == dropped.loss_db
    assert alone.loss_db is not None
    loss = alone.loss_db + (summarise(resampled).loss_db or 0.0)
    assert dropped.loss_of_all_db == pytest.approx(loss / 2, abs=0.01)


async def test_served_rate_is_that_of_a_closed_loop_with_one_network() -> None:
    service = Service()
    async with serving(service) as url:
        rate = await served_rate(url, Rung("anysr-s", 1.0), callers=2, requests=8)
    at = [when for when, _, _ in service.asked]
    assert rate == pytest.approx(6 / (at[-1] - at[1]), rel=0.05)  # the first two are a warm-up
    assert rate == pytest.approx(2 / SLOW_S, rel=0.5)
    wanted = {"model": "anysr-s", "anysr_width": "1", "on_miss": "reject"}
    assert all(parameters.items() >= wanted.items() for _, parameters, _ in service.asked)


async def test_no_rate_is_served_where_a_picture_is_missing() -> None:
    async with serving(Service()) as url:
        with pytest.raises(RuntimeError, match="429 to a picture for refused@1"):
            await served_rate(url, Rung("refused", 1.0), callers=2, requests=4)
