"""Foreign graphs beside a network of ours, by real HTTP: listed, chosen, budgeted, reloaded."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from skimage import data

from models.probing.probe import Stated
from tests.support.foreign_graphs import add_in_process, shuffled, unshuffled
from tests.support.service import running_process
from tests.support.waiting import eventually_sync
from tests.workers.model_folder import SMALL, small_folder

KEY = "an-admin-key-for-tests"
PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = small_folder(tmp_path_factory.mktemp("served") / "models", SMALL)
    add_in_process(place, "team-x2", shuffled(2))
    stated = Stated.model_validate({"colours": "bgr"})
    add_in_process(place, "team-bgr", unshuffled(2, 4, swapped=True), stated)
    add_in_process(place, "team-64", shuffled(2, sides=(64, 64)), in_ladder=True)
    return place


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    settings = {"ANYSR_MODELS": str(folder), "ANYSR_ADMIN_KEY": KEY}
    with running_process(1, **settings) as (address, _):
        yield address


def png(pixels: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def photograph(height: int, width: int) -> Any:
    return np.ascontiguousarray(data.astronaut()[20 : 20 + height, 140 : 140 + width])


def upscale(url: str, picture: bytes, **params: Any) -> httpx.Response:
    query = {"latency_budget_ms": 30_000, "format": "png", **params}
    return httpx.post(f"{url}/upscale", params=query, content=picture, timeout=PATIENCE_S)


def pixels_of(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content))).astype(int)


@pytest.mark.parametrize("name", ["team-x2", "team-bgr", "team-64"])
@pytest.mark.parametrize("scale", [1, 1.5, 2, 2.37, 4, 8])
def test_a_foreign_graph_serves_every_scale(url: str, name: str, scale: float) -> None:
    source = photograph(66, 90)
    answer = upscale(url, png(source), scale=scale, model=name)
    made = pixels_of(answer)
    assert answer.headers["X-AnySR-Model"] == name
    height, width = round(66 * scale), round(90 * scale)
    assert made.shape == (height, width, 3)
    resized = Image.fromarray(source).resize((width, height), Image.Resampling.LANCZOS)
    # One of them dampens red by a tenth.
    assert np.abs(made - np.asarray(resized).astype(int)).mean() < 10
    if scale == 1:
        assert np.array_equal(made, source)


def test_grey_and_transparency(url: str) -> None:
    source = photograph(40, 48)
    grey = pixels_of(upscale(url, png(source[:, :, 0]), scale=2.37, model="team-x2"))
    assert grey.shape == (95, 114)
    alpha = np.full((40, 48, 1), 255, np.uint8)
    alpha[:, :20] = 0
    see_through = pixels_of(
        upscale(url, png(np.concatenate([source, alpha], 2)), scale=2, model="team-x2")
    )
    assert see_through.shape == (80, 96, 4)
    assert (see_through[:, :34, 3] == 0).all()
    assert (see_through[:, 46:, 3] == 255).all()


def test_they_are_listed_and_never_chosen_unmeasured(url: str) -> None:
    listed = {m["name"]: m for m in httpx.get(f"{url}/models").json()["models"]}
    assert set(listed) == {SMALL, "team-x2", "team-bgr", "team-64"}
    one = listed["team-x2"]
    assert (one["fixed_scale"], one["min_scale"], one["max_scale"]) == (2, 1, 8)
    assert (one["ready"], one["exactly_local"], one["quality"]) == (True, True, [])
    assert one["backends"] == ["onnx float32"]
    assert [m["in_ladder"] for m in listed.values()].count(True) == 1
    answer = upscale(url, png(photograph(40, 48)), scale=2)
    assert answer.headers["X-AnySR-Model"] == SMALL


def test_costs_are_predicted_and_budgets_refused(url: str) -> None:
    def estimate(scale: float, width: int) -> float:
        query: dict[str, Any] = {"width": width, "height": 500, "format": "png", "scale": scale}
        answer = httpx.get(f"{url}/estimate", params=query | {"model": "team-x2"})
        assert answer.status_code == 200, answer.text
        networks = [o for o in answer.json()["rungs"] if o["model"] == "team-x2"]
        assert len(networks) == 1
        return float(networks[0]["expected_ms"])

    assert 0 < estimate(2, 400) < estimate(2, 1600)
    assert estimate(2.37, 1600) > 0
    large = png(photograph(400, 370))
    refused = upscale(url, large, scale=4, model="team-x2", latency_budget_ms=1, on_miss="reject")
    assert (refused.status_code, refused.json()["code"]) == (422, "budget_infeasible")


def test_a_reload_takes_in_a_new_one(url: str, folder: Path) -> None:
    picture = png(photograph(40, 48))
    assert upscale(url, picture, scale=3, model="later").json()["code"] == "unknown_model"
    add_in_process(folder, "later", shuffled(3, channels=1))
    reload = httpx.post(f"{url}/admin/reload", headers={"Authorization": f"Bearer {KEY}"})
    assert reload.status_code == 202
    eventually_sync(
        lambda: upscale(url, picture, scale=3, model="later").is_success, "the new one answers"
    )
    answer = upscale(url, picture, scale=3, model="later")
    assert answer.headers["X-AnySR-Model"] == "later"
    assert pixels_of(answer).shape == (120, 144, 3)
    [worker] = httpx.get(f"{url}/health/ready").json()["workers"]
    assert worker["broken"] == {}
