"""The plain service makes the picture of a worker; prices are ratios of neighbouring rounds."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import numpy as np
import pytest
from PIL import Image

from benchmarks import plain_service, request_price
from benchmarks.pictures import draw_jpeg
from benchmarks.request_price import Round, compare
from images.limits import Limits
from jobs.formats import ImageFormat
from models.catalog import SHIPPED
from tests.support.service import server_timing
from tests.workers.workbench import a_job
from workers.loaded_model import LoadedModel
from workers.pipeline import Progress, run_pipeline
from workers.runtimes.onnx import OnnxSession


def pixels(data: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(np.int64)


async def test_the_plain_service_makes_the_picture_of_a_worker() -> None:
    picture = draw_jpeg(64, 48)
    transport = httpx.ASGITransport(app=plain_service.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://plain") as client:
        answer = await client.post("/upscale", params={"scale": 2.5}, content=picture)
    assert answer.headers["content-type"] == "image/jpeg"
    assert server_timing(answer.headers["Server-Timing"])["network"] > 0
    entry = plain_service.entry
    engine = LoadedModel(entry, OnnxSession(SHIPPED, entry, 1), plain_service.tiling).at(1.0)
    job = a_job(
        source_width=64,
        source_height=48,
        output_width=160,
        output_height=120,
        output_format=ImageFormat.JPEG,
    )
    limits = Limits(10**6, 10**6)
    made = run_pipeline(job, picture, limits, lambda _: engine, Progress())
    ours, plain = pixels(made.picture), pixels(answer.content)
    assert plain.shape == (120, 160, 3)
    assert np.abs(ours - plain).max() <= 1


@dataclass
class Standing:
    """A service without a process."""

    name: str

    def held_mb(self) -> float:
        return {"plain": 100.0, "ours": 300.0}[self.name]


def standing(name: str) -> contextlib.AbstractContextManager[Standing]:
    return contextlib.nullcontext(Standing(name))


def test_a_ratio_is_that_of_neighbouring_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine becomes ten times slower between the rounds; ours takes 1.5 times as long."""

    def rounds() -> Iterator[Round]:
        for slow in (1.0, 1.0, 10.0) * 2:
            for factor in (slow, 1.5 * slow):
                yield Round(4 / factor, 10 * factor, 20 * factor, 5 * factor)

    to_come = rounds()

    async def ask(*_: object) -> Round:
        return next(to_come)

    monkeypatch.setattr(request_price, "_plain", lambda: standing("plain"))
    monkeypatch.setattr(request_price, "_ours", lambda: standing("ours"))
    monkeypatch.setattr(request_price, "run_round", ask)
    monkeypatch.setattr(request_price, "REST_S", 0.0)
    reported: list[int] = []
    prices, resting = compare(rounds=2, seconds=1.0, report=reported.append)
    assert resting == {"plain": 100.0, "ours": 300.0}
    expected = [("plain", 1), ("ours", 1), ("plain", 4), ("ours", 4)]
    assert [(price.service, price.callers) for price in prices] == expected
    for price in prices:
        ratio = 1.5 if price.service == "ours" else 1.0
        assert price.of_plain.cpu_ms == pytest.approx(ratio)
        assert price.of_plain.pictures_per_s == pytest.approx(1 / ratio)
    assert reported == [1, 2, 3, 4, 5, 6]
