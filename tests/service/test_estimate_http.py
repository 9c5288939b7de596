"""GET /estimate over real HTTP: it predicts what a request with the picture gets."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from jobs.redis_queue import RedisQueue
from jobs.settings import QueueSettings
from models.catalog import Catalog, CatalogRead
from service.catalog_store import CatalogStore
from tests.service.harness import (
    MODEL,
    NARROW_MS,
    RESAMPLING_MS,
    UNSERVED,
    RunningGateway,
    ScriptedWorker,
    Start,
    assert_problem,
    cost_by_pixels,
    drawn,
    model_entry,
)

PICTURE: dict[str, Any] = {"width": 20, "height": 12, "format": "png"}
"""The picture that `drawn` makes."""
ON_DEMAND = "drawn-q"


async def get_estimate(served: RunningGateway, **params: Any) -> httpx.Response:
    """GET /estimate for the picture that `drawn` makes, by default at scale 2."""
    params = PICTURE | (params or {"scale": 2})
    return await served.client.get("/estimate", params=params)


async def estimated(served: RunningGateway, **params: Any) -> dict[str, Any]:
    response = await get_estimate(served, **params)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def test_every_member(served: RunningGateway) -> None:
    response = await get_estimate(served)
    assert response.headers["cache-control"] == "no-store"
    rungs = [
        ("lanczos", 0, RESAMPLING_MS),
        (MODEL, 0.25, NARROW_MS),
        (MODEL, 0.5, 62),
        (MODEL, 1, 102),
    ]
    overhead_ms = 10
    budgets = [15, 58, 80, 124]
    assert response.json() == {
        "rungs": [
            {
                "model": model,
                "width": width,
                "expected_ms": ms,
                "safe_ms": ms,
                "budget_ms": budget_ms,
                "expected_db": 32.1 if width == 1 else None,
            }
            for (model, width, ms), budget_ms in zip(rungs, budgets, strict=True)
        ],
        "wait_ms": 0,
        "smallest_budget_ms": 15,
        "default_budget_ms": 1_530,  # ten times 1.5 times 102
        "output_width": 40,
        "output_height": 24,
    }
    for (_, _, ms), budget_ms in zip(rungs, budgets, strict=True):
        assert budget_ms == pytest.approx(1.1 * (ms + overhead_ms), abs=1)


@pytest.mark.parametrize(
    ("params", "size"),
    [
        ({"scale": 2.37}, (47, 28)),
        ({"scale_h": 2, "scale_w": 3}, (60, 24)),
        ({"output_width": 50}, (50, 30)),
        ({"output_height": 30}, (50, 30)),
        ({"output_width": 30, "output_height": 40}, (30, 40)),
    ],
)
async def test_sizes(served: RunningGateway, params: dict[str, Any], size: tuple[int, int]) -> None:
    answer = await estimated(served, **params)
    assert (answer["output_width"], answer["output_height"]) == size


@pytest.mark.parametrize(
    ("params", "widths"),
    [
        ({}, [0, 0.25, 0.5, 1]),
        ({"on_miss": "reject"}, [0.25, 0.5, 1]),
        ({"anysr_width": 0.5}, [0.5]),
        ({"min_width": 0.5}, [0.5, 1]),
        ({"min_db": 32}, [1]),
        ({"model": MODEL, "strength": 0.5}, [0, 0.25, 0.5, 1]),
    ],
)
async def test_smallest_and_default_budget_are_those_of_a_request(
    served: RunningGateway, worker: ScriptedWorker, params: dict[str, Any], widths: list[float]
) -> None:
    answer = await estimated(served, scale=2, **params)
    assert [rung["width"] for rung in answer["rungs"]] == widths
    refused = await served.upscale(scale=2, latency_budget_ms=0.5, **params)
    smallest = assert_problem(refused, 422, "budget_infeasible")["smallest_feasible_ms"]
    assert answer["smallest_budget_ms"] == answer["rungs"][0]["budget_ms"] == smallest
    statuses = set[int]()
    for _ in range(5):  # on a busy machine the way to the queue may take what is left: 429
        let_in = await served.upscale(scale=2, latency_budget_ms=smallest, **params)
        statuses.add(let_in.status_code)
        if statuses & {200, 504}:
            break
    assert statuses & {200, 504}, statuses  # late at worst, but let in
    response = await served.upscale(scale=2, **params)
    assert float(response.headers["x-anysr-budget-ms"]) == answer["default_budget_ms"]
    assert worker.claims[-1].job.budget_ms == answer["default_budget_ms"]


@pytest.mark.parametrize("scale", [1, 2, 3.3, 8])
async def test_more_expensive_rungs_are_better(served: RunningGateway, scale: float) -> None:
    rungs = (await estimated(served, scale=scale))["rungs"]
    for name in ("expected_ms", "safe_ms", "budget_ms"):
        figures = [rung[name] for rung in rungs]
        assert figures == sorted(figures)
    known = [rung["expected_db"] for rung in rungs if rung["expected_db"] is not None]
    assert known == sorted(set(known))


BAD = [
    ({"scale": 9}, 422, "invalid_request"),
    ({"scale": "x"}, 422, "invalid_request"),
    ({"scale": 2, "scale_h": 2}, 422, "invalid_request"),
    ({"scale": 2, "scale_h": 2, "scale_w": 2}, 422, "invalid_request"),
    ({"scale": 2, "min_db": 99}, 422, "invalid_request"),
    ({"scale": 2, "strength": 2}, 422, "invalid_request"),
    ({"scale": 2, "on_miss": "x"}, 422, "invalid_request"),
    ({"scale": 2, "colour": "red"}, 422, "invalid_request"),
    ({"scale": 2, "model": "x"}, 422, "unknown_model"),
    ({"scale": 2, "anysr_width": 0.3}, 422, "unknown_width"),
    ({"scale": 2, "model": UNSERVED}, 503, "not_ready"),
]


@pytest.mark.parametrize(("params", "status", "code"), BAD)
async def test_an_estimate_is_refused_like_the_request(
    served: RunningGateway, params: dict[str, Any], status: int, code: str
) -> None:
    estimate = assert_problem(await get_estimate(served, **params), status, code)
    refused = assert_problem(await served.upscale(**params), status, code)
    if "unknown parameter" not in refused["detail"]:
        assert estimate["detail"].replace("output_", "") == refused["detail"]


async def test_sizes_over_the_limits_are_refused_like_a_pictures(
    start: Start, worker: ScriptedWorker
) -> None:
    limits = {"max_source_pixels": 300, "max_output_pixels": 1000}
    large = PICTURE | {"width": 20, "height": 16, "scale": 1}
    async with start(**limits) as served:
        for code, params, picture in (
            ("image_too_large", large, drawn(20, 16)),
            ("output_too_large", PICTURE | {"scale": 3}, drawn()),
        ):
            estimate = await served.client.get("/estimate", params=params)
            refused = await served.upscale(picture, scale=params["scale"])
            assert (
                assert_problem(estimate, 413, code)["detail"]
                == assert_problem(refused, 413, code)["detail"]
            )
    assert not worker.claims


@pytest.mark.parametrize("name", ["width", "height", "format"])
async def test_size_and_format_of_the_picture_are_required(
    served: RunningGateway, name: str
) -> None:
    params = {key: value for key, value in PICTURE.items() if key != name} | {"scale": 2}
    response = await served.client.get("/estimate", params=params)
    assert assert_problem(response, 422, "invalid_request")["detail"] == f"{name} is missing."
    twice = [*PICTURE.items(), ("scale", 2), (name, PICTURE[name])]
    response = await served.client.get("/estimate", params=twice)
    assert "more than once" in assert_problem(response, 422, "invalid_request")["detail"]


async def test_a_request_without_size_is_refused_with_the_ways_to_give_one(
    served: RunningGateway,
) -> None:
    response = await served.client.get("/estimate", params=PICTURE)
    detail = assert_problem(response, 422, "invalid_request")["detail"]
    assert "output_width and/or output_height" in detail


async def test_no_worker(start: Start) -> None:
    async with start() as served:
        response = await get_estimate(served)
        assert_problem(response, 503, "not_ready")
        assert response.headers["retry-after"] == "2"


async def test_an_estimate_writes_nothing_to_the_queue_and_requests_no_model(
    start: Start, queue: RedisQueue, queue_settings: QueueSettings, raw_redis: Redis
) -> None:
    await ScriptedWorker(queue).heartbeat()
    rare = model_entry(ON_DEMAND).model_copy(update={"on_demand": True, "in_ladder": False})
    catalog = Catalog(default=MODEL, models=(model_entry(MODEL), rare))

    async def kept() -> dict[bytes, bytes | None]:
        pattern = f"*{queue_settings.namespace}*"
        names = [name async for name in raw_redis.scan_iter(match=pattern)]
        return {name: await raw_redis.dump(name) for name in names}

    async with start(CatalogStore(lambda _: CatalogRead(catalog))) as served:
        before = await kept()
        assert before
        assert (await get_estimate(served)).status_code == 200
        members = assert_problem(
            await get_estimate(served, scale=2, model=ON_DEMAND), 503, "not_ready"
        )
        assert "is loaded at the first request for it" in members["detail"]
        assert await kept() == before
        samples = (await served.client.get("/metrics")).text
    assert "anysr_admission_rejected_total{" not in samples


async def test_the_wait_counts_waiting_jobs(served: RunningGateway, worker: ScriptedWorker) -> None:
    worker.go.clear()
    await served.submit(scale=2, on_miss="reject")
    async with asyncio.timeout(2):
        await worker.claimed.wait()
    for _ in range(3):
        await served.submit(scale=2, on_miss="reject", latency_budget_ms=5_000)
    answer = await estimated(served)
    assert answer["wait_ms"] <= NARROW_MS, "its default budget is the shortest"
    for _ in range(3):
        await served.submit(scale=2, on_miss="reject", latency_budget_ms=1_000)
    answer = await estimated(served)
    assert 3 * NARROW_MS <= answer["wait_ms"] <= 4 * NARROW_MS
    assert answer["smallest_budget_ms"] == 15  # of an idle service
    worker.go.set()


async def test_compression_is_assumed_to_be_usual_for_the_format(
    served: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    assess = served.gateway.dispatcher.assess

    async def noting(job: Any, default: Any) -> Any:
        seen.append((job.strength, job.output_format.value))
        return await assess(job, default)

    monkeypatch.setattr(served.gateway.dispatcher, "assess", noting)
    for params in (
        *({"format": "png"}, {"format": "jpeg"}, {"format": "jpeg", "strength": "auto"}),
        *({"format": "jpeg", "strength": 0}, {"format": "avif", "output_format": "webp"}),
    ):
        await estimated(served, scale=2, **params)
    usual = seen[1][0]
    assert 0 < usual < 1
    assert seen == [
        *((0, "png"), (usual, "jpeg"), (usual, "jpeg")),
        *((0, "jpeg"), (usual, "webp")),
    ]


class TestSlowWorker:
    """A megapixel of output takes 1000 s at full width, and 10 s resampled."""

    @pytest.fixture
    async def worker(self, worker: ScriptedWorker) -> ScriptedWorker:
        worker.costs = cost_by_pixels(1_000_000.0)
        await worker.heartbeat()
        return worker

    async def test_a_large_picture_gets_the_time_that_it_needs(
        self, start: Start, worker: ScriptedWorker
    ) -> None:
        """200 x 60 pixels take 12.24 s at full width; the margin is 1.5."""
        picture = drawn(100, 30)
        async with start() as served:
            large = {"width": 100, "height": 30, "scale": 2}
            answer = await estimated(served, **large)
            full_ms = answer["rungs"][-1]["safe_ms"]
            assert full_ms == pytest.approx(12_240)
            assert answer["default_budget_ms"] == pytest.approx(1.5 * full_ms + 10, abs=1)
            response = await served.upscale(picture, scale=2)
            assert response.status_code == 200
            assert float(response.headers["x-anysr-budget-ms"]) == answer["default_budget_ms"]
            assert worker.claims[0].job.budget_ms == answer["default_budget_ms"]
            await served.gateway.snapshots.refresh()  # without the first run
            half = await served.upscale(picture, scale=2, anysr_width=0.5)
            assert float(half.headers["x-anysr-budget-ms"]) == pytest.approx(11_170, abs=1_000)
            named = await served.upscale(picture, scale=2, latency_budget_ms=3_000)
            assert named.headers["x-anysr-budget-ms"] == "3000.0"

    async def test_a_default_budget_is_at_most_the_set_one_and_for_jobs_the_largest(
        self, start: Start, worker: ScriptedWorker
    ) -> None:
        picture = drawn(100, 300)  # 120 s at full width
        async with start(max_default_budget_ms=50_000, max_budget_ms=150_000) as served:
            response = await served.upscale(picture, scale=2)
            assert response.headers["x-anysr-budget-ms"] == "50000.0"
            answer = await served.client.post(
                "/jobs", params={"scale": 2}, content=picture, headers={"Content-Type": "image/png"}
            )
            assert answer.headers["x-anysr-budget-ms"] == "150000.0"
            job = answer.json()
            lasts_ms = job["deadline_ms"] - job["submitted_ms"]
            assert lasts_ms == pytest.approx(150_000, abs=500)
            await served.gateway.queue.submissions.wait(job["id"], 5)
            result = await served.client.get(job["links"]["result"])
            assert result.headers["x-anysr-budget-ms"] == "150000.0"
        assert worker.claims

    async def test_a_picture_beyond_the_largest_default_is_refused_with_the_budget_it_needs(
        self, start: Start, worker: ScriptedWorker
    ) -> None:
        params = {"scale": 2, "anysr_width": 1}
        async with start(max_default_budget_ms=11_000) as served:
            response = await served.upscale(drawn(100, 30), **params)
            refused = assert_problem(response, 422, "budget_infeasible")
            answer = await estimated(served, width=100, height=30, **params)
            assert answer["default_budget_ms"] == 11_000
            assert answer["smallest_budget_ms"] == refused["smallest_feasible_ms"] > 12_240
        assert not worker.claims
