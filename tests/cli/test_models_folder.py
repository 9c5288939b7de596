"""Edits of the model folder while the service answers a steady load."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from models.catalog import CATALOG_FILE
from tests.support.pictures import draw_jpeg
from tests.support.service import running_process
from tests.workers.model_folder import SMALL, add_copy, edit, remove, small_folder, tamper

KEY = "an-admin-key-for-tests"
PICTURE = draw_jpeg(64, 64)
PATIENCE_S = 60.0


def until(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "took too long"
        time.sleep(0.05)


def upscale(url: str, **params: Any) -> httpx.Response:
    query = {"scale": 2, "latency_budget_ms": 30_000, **params}
    return httpx.post(f"{url}/upscale", params=query, content=PICTURE, timeout=PATIENCE_S)


def health(url: str) -> dict[str, Any]:
    answer = httpx.get(f"{url}/health/ready")
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def workers_of(url: str) -> list[dict[str, Any]]:
    """Return all workers, ready or not."""
    workers: list[dict[str, Any]] = httpx.get(f"{url}/health/ready").json()["workers"]
    return workers


class Load:
    """Sends requests in sequence, on a thread, until the context is left."""

    def __init__(self, url: str, *models: str | None) -> None:
        self._url = url
        self._models = models or (None, SMALL)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.answers: list[tuple[int, str]] = []

    def _run(self) -> None:
        while not self._ending.is_set():
            for model in self._models:
                answer = upscale(self._url, **({"model": model} if model else {}))
                self.answers.append((answer.status_code, "" if answer.is_success else answer.text))

    def __enter__(self) -> Load:
        self._thread.start()
        until(lambda: len(self.answers) > 2)
        return self

    def __exit__(self, *_: object) -> None:
        self.wait_for_more()
        self._ending.set()
        self._thread.join()
        assert len(self.answers) > 5
        assert [text for status, text in self.answers if status != 200] == []

    def wait_for_more(self) -> None:
        """Wait for some more answers."""
        seen = len(self.answers)
        until(lambda: len(self.answers) > seen + 3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return small_folder(tmp_path / "models", SMALL)


@pytest.fixture
def service(folder: Path) -> Iterator[tuple[str, int]]:
    """The URL and the process id of a service on that folder."""
    settings = {"ANYSR_MODELS": str(folder), "ANYSR_ADMIN_KEY": KEY}
    with running_process(1, ANYSR_UNSERVED_SECONDS="0.5", **settings) as (url, process):
        yield url, process.pid


def request_reload(url: str) -> int:
    """Request a reload of all processes; return the number of the request."""
    answer = httpx.post(f"{url}/admin/reload", headers={"Authorization": f"Bearer {KEY}"})
    assert answer.status_code == 202, answer.text
    number: int = answer.json()["reloads"]
    return number


def followed(url: str, number: int) -> bool:
    state = health(url)
    parts = [state["catalog"], *state["workers"]]
    return all(part["reloads"] == number for part in parts)


def test_models_are_added_and_removed_under_load_without_errors(
    service: tuple[str, int], folder: Path
) -> None:
    url, pid = service
    refused = upscale(url, model="second")
    assert (refused.status_code, refused.json()["code"]) == (422, "unknown_model")
    with Load(url) as load:
        add_copy(folder, "second")
        os.kill(pid, signal.SIGHUP)
        # Until then it is unknown to the gateway or not warm; it is never admitted and then fails.
        while (answer := upscale(url, model="second")).is_error:
            assert answer.json()["code"] in ("unknown_model", "not_ready")
        assert answer.headers["X-AnySR-Model"] == "second"
        [worker] = health(url)["workers"]
        assert worker["models"] == [SMALL, "second"]
        load.wait_for_more()

        tamper(folder, "second")
        (folder / f"{SMALL}.onnx").write_bytes(b"")  # truncated while it runs
        number = request_reload(url)
        until(lambda: followed(url, number))
        state = health(url)
        assert state["status"] == "ready"
        [worker] = state["workers"]
        assert set(worker["broken"]) == {SMALL, "second"}
        assert "checksum" in worker["broken"]["second"]
        assert upscale(url, model="second").status_code == 200

        add_copy(folder, SMALL)
        remove(folder, "second")
        number = request_reload(url)
        until(lambda: followed(url, number))
        [worker] = health(url)["workers"]
        assert (worker["models"], worker["broken"]) == ([SMALL], {})
        assert upscale(url, model="second").json()["code"] == "unknown_model"

        (folder / CATALOG_FILE).write_text("{")
        number = request_reload(url)
        until(lambda: followed(url, number))
        state = health(url)
        for broken in (state["catalog"]["broken"], state["workers"][0]["broken"]):
            assert "not valid JSON" in broken[CATALOG_FILE]


@contextlib.contextmanager
def running_worker(
    folder: Path, redis_url: str, namespace: str
) -> Iterator[subprocess.Popen[bytes]]:
    own = {"ANYSR_MODELS": str(folder), "ANYSR_REDIS_URL": redis_url, "ANYSR_NAMESPACE": namespace}
    environment = {**os.environ, **own, "ANYSR_WORKER_THREADS": "1", "ANYSR_LOG_LEVEL": "warning"}
    command = [sys.executable, "-m", "cli.main", "worker"]
    with subprocess.Popen(command, env=environment) as process:
        try:
            yield process
        finally:
            process.terminate()
            process.wait(30)


def test_two_workers_with_different_folders_each_get_their_jobs(
    tmp_path: Path, redis_url: str
) -> None:
    """One worker's folder has a model more than the other's, until both are equal."""
    behind = small_folder(tmp_path / "behind", SMALL)
    ahead = small_folder(tmp_path / "ahead", SMALL, "second")
    shared = {"ANYSR_REDIS_URL": redis_url, "ANYSR_NAMESPACE": f"test-{tmp_path.name}"}
    gateway = {"ANYSR_MODELS": str(ahead), "ANYSR_ADMIN_KEY": KEY, **shared}
    with (
        running_worker(behind, redis_url, shared["ANYSR_NAMESPACE"]) as first,
        running_worker(ahead, redis_url, shared["ANYSR_NAMESPACE"]),
        running_process(0, **gateway) as (url, _),
    ):
        until(lambda: [w["ready"] for w in workers_of(url)] == [True, True])
        with Load(url, SMALL, "second"), Load(url, "second", None):
            add_copy(behind, "second")
            number = request_reload(url)
            until(lambda: followed(url, number))
            assert [w["models"] for w in health(url)["workers"]] == [[SMALL, "second"]] * 2
            remove(behind, "second")
            os.kill(first.pid, signal.SIGHUP)
            until(lambda: [SMALL] in [w["models"] for w in health(url)["workers"]])


def test_a_model_on_demand_answers_after_its_first_request(folder: Path) -> None:
    for name in ("rare", "rarer"):
        add_copy(folder, name)
        edit(folder, name, on_demand=True, in_ladder=False)
    settings = {"ANYSR_MODELS": str(folder), "ANYSR_WARM": '["rarer"]'}
    with running_process(1, **settings) as (url, _), Load(url) as load:
        [worker] = health(url)["workers"]
        assert worker["models"] == [SMALL, "rarer"]
        first = upscale(url, model="rare")
        assert (first.status_code, first.json()["code"]) == (503, "not_ready")
        assert first.headers["Retry-After"] == "5"
        assert "try again" in first.json()["detail"]
        until(lambda: upscale(url, model="rare").is_success)
        assert upscale(url, model="rare").headers["X-AnySR-Model"] == "rare"
        load.wait_for_more()
