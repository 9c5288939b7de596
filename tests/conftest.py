"""Fixtures of all packages: a real Redis server, an empty queue per test, and a running service."""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import uuid
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from jobs.connection import SteadyRedis, connect
from jobs.embedded_redis import Binary, embedded_redis, find_binary
from jobs.job import Job
from jobs.redis_queue import RedisQueue
from jobs.settings import QueueSettings
from tests.support.jobs import admitted_job
from tests.support.skips import summary

# No test asserts a time, so examples have no deadline.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Generator[None]:
    """Print at the end which kinds of tests were skipped, and what to install for them."""
    yield
    skipped = terminalreporter.stats.get("skipped", [])
    lines = list(summary(report.longrepr[2] for report in skipped))
    if lines:
        terminalreporter.section("what was not tested here", "=")
    for line in lines:
        terminalreporter.write_line(line)


@pytest.fixture(scope="session", autouse=True)
def this_tree() -> Iterator[None]:
    """Make processes of tests import this checkout, whatever is installed."""
    root = Path(__file__).parents[1]
    places = os.pathsep.join((str(root), str(root / "clients" / "python")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", places, prepend=os.pathsep)
        yield


@pytest.fixture(scope="session", autouse=True)
def calibration_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folder of calibrations that all processes of this run share; never the user's own cache."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "calibration"
    folder.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANYSR_CALIBRATION_FOLDER", str(folder))
        yield folder


@pytest.fixture(scope="session")
def cached_costs(calibration_folder: Path) -> None:
    """Costs of the shipped models, as an earlier `anysr serve` would have kept them: beside other
    tests each start would measure them anew, for a quarter of a minute. The choice of backends is
    kept as well."""
    from cli.simulate import COSTS
    from models.catalog import SHIPPED
    from scheduling.cost_model import CostModel
    from workers.calibration_cache import costs_name, facts_of, save_lines, stages_of
    from workers.loaded_model import load_models
    from workers.machine import available_cores
    from workers.settings import Runtime, WorkerSettings

    lines = CostModel.from_dict(json.loads(COSTS.read_text())).lines
    used = (
        WorkerSettings(worker_threads=available_cores()),  # by the service
        WorkerSettings(worker_threads=available_cores(), runtime=Runtime.ONNX),
        WorkerSettings(worker_threads=0),  # by `anysr upscale`
        WorkerSettings(worker_threads=0, runtime=Runtime.ONNX),  # by one that is compared with it
    )
    done = calibration_folder / "costs.done"
    with (calibration_folder / "costs.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if done.exists():  # by another process of this run
            return
        for one in used:
            models = load_models(SHIPPED, one, cache=calibration_folder)
            # A format that the example has no line for costs what its like costs.
            fitting = {
                stage: lines.get(stage) or lines["encode:png" if "encode" in stage else "decode"]
                for stage in stages_of(models)
            }
            facts = facts_of(models, one)
            save_lines(calibration_folder / costs_name(facts), facts, fitting)
        done.touch()


@pytest.fixture(scope="session")
def service_url(cached_costs: None) -> Iterator[str]:  # noqa: ARG001 - written before the start
    """URL of `anysr serve` on the shipped models with one ready worker, for tests that only send
    pictures. Its runtime is fixed, because the choice by time may differ between two processes."""
    from tests.support.service import running_service

    with running_service(ANYSR_RUNTIME="onnx") as url:
        yield url


@pytest.fixture(scope="session")
def redis_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a private server. Parametrize it indirectly with a Binary to choose which."""
    binary: Binary | None = getattr(request, "param", None)
    if binary is not None and find_binary(binary) is None:
        pytest.skip(f"{binary} is not installed")
    with embedded_redis(binary) as url:
        yield url


@pytest.fixture
def queue_settings() -> QueueSettings:
    """Settings of a namespace that no other test uses."""
    return QueueSettings(namespace=f"test-{uuid.uuid4().hex}", unserved_seconds=0.2)


@pytest.fixture
async def open_queue() -> AsyncIterator[Callable[[str, QueueSettings], RedisQueue]]:
    """Return RedisQueue.connect, for tests of several queues; closes them afterwards."""
    queues: list[RedisQueue] = []

    def connect_queue(url: str, settings: QueueSettings) -> RedisQueue:
        queues.append(RedisQueue.connect(url, settings))
        return queues[-1]

    yield connect_queue
    for queue in queues:
        await queue.close()


@pytest.fixture
async def queue(
    redis_url: str,
    queue_settings: QueueSettings,
    open_queue: Callable[[str, QueueSettings], RedisQueue],
) -> RedisQueue:
    """An empty queue, closed afterwards."""
    return open_queue(redis_url, queue_settings)


@pytest.fixture
async def raw_redis(redis_url: str) -> AsyncIterator[SteadyRedis]:
    """A plain client of the same server, to inspect and to damage the data of the queue."""
    client = connect(redis_url)
    yield client
    await client.aclose()


@pytest.fixture
def make_job() -> Callable[..., Job]:
    """Return a factory of valid jobs; keywords replace single fields."""
    numbers = itertools.count(1)

    def make(**changes: Any) -> Job:
        return admitted_job(**{"id": f"job-{next(numbers)}", "model": "anysr-s", **changes})

    return make
