"""Worker processes on a real queue: killed, stopped, and started with wrong settings."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import httpx
import pytest
from PIL import Image

from jobs.job import Job, JobStatus
from jobs.redis_queue import RedisQueue
from jobs.settings import QueueSettings
from models.catalog import SHIPPED, Catalog, write_catalog
from scheduling.cost_line import Line
from scheduling.cost_model import CostModel
from tests.support.pictures import ENDLESS_SIDE, draw_endless_jpeg
from tests.support.waiting import eventually
from tests.workers.workbench import a_job, default_entry, photograph, whole
from workers.cache_files import cache_folder
from workers.calibration_cache import costs_name, facts_of, save_lines, stages_of
from workers.loaded_model import load_models
from workers.pool import WorkerPool, pool_environments
from workers.settings import WorkerSettings
from workers.watchdog import STUCK_EXIT_CODE

LEASE_S = 1.0
PATIENCE_S = 180.0
"""Far longer than a start and a run take, also where processes share a core with ten others."""

ANY_SCANS = {"ANYSR_MAX_SOURCE_PIXELS": f"{10**10}"}
"""With this limit no JPEG is refused for its scans."""

Process = subprocess.Popen[bytes]

PARENT = """
import subprocess, sys
print(subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL).pid, flush=True)
input()
"""

HANGING = """
import ctypes, pathlib, sys
from workers import main, watchdog
from workers.runtimes.onnx import OnnxNetwork

hang, library, watchdog.OVERDUE_S = pathlib.Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
run = OnnxNetwork.run

def run_or_hang(network, *arguments):
    if hang.exists():
        hang.unlink()
        getattr(ctypes, library)(None).sleep(1_000_000)
    return run(network, *arguments)

OnnxNetwork.run = run_or_hang
main.run()
"""
"""A worker whose network hangs in native code, once, if a file is there. Calls of a ctypes.CDLL
release Python's lock, as those of a runtime do; those of a ctypes.PyDLL keep it, so that nothing
else runs."""


@pytest.fixture(scope="module")
def small_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with one width, so that a worker is warm soon."""
    folder = tmp_path_factory.mktemp("models")
    entry = default_entry()
    entry = whole(entry.model_copy(update={"widths": entry.widths[-1:], "torchscript": None}))
    for artifact in (entry.weights, entry.widths[0].onnx):
        shutil.copy(SHIPPED / artifact.file, folder)
    write_catalog(folder, Catalog(default=entry.name, models=(entry,)))
    return folder


@pytest.fixture(scope="module")
def kept(small_folder: Path) -> dict[str, list[float]]:
    """Cached costs for it: on a busy machine each start would measure them anew."""
    settings = WorkerSettings(worker_threads=1, tile_pixels=64 * 64)
    models = load_models(small_folder, settings)
    facts, stages = facts_of(models, settings), stages_of(models)
    lines = {stage: Line(float(n + 1), 2.0, 3.0) for n, stage in enumerate(stages)}
    folder = cache_folder(WorkerSettings().calibration_folder, os.environ)
    assert folder is not None
    save_lines(folder / costs_name(facts), facts, lines)
    written: dict[str, list[float]] = CostModel(lines).to_dict()["lines"]
    return written


@pytest.fixture
def environment(
    redis_url: str,
    queue_settings: QueueSettings,
    small_folder: Path,
    kept: dict[str, list[float]],  # noqa: ARG001  it is there before a worker starts
) -> Mapping[str, str]:
    settings = WorkerSettings(models_folder=small_folder, worker_threads=1, tile_pixels=64 * 64)
    queue = queue_settings.model_copy(update={"lease_seconds": LEASE_S})
    [variables] = pool_environments(1, settings, queue, redis_url, os.environ)
    return variables


@contextlib.contextmanager
def a_process(
    environment: Mapping[str, str], command: Sequence[str] = ("-m", "workers.main")
) -> Iterator[Process]:
    with subprocess.Popen([sys.executable, *command], env=environment) as process:
        try:
            yield process
        finally:
            process.kill()


async def ready(queue: RedisQueue, process: Process) -> None:
    """Wait until a process is warm."""

    async def is_warm() -> bool:
        assert process.poll() is None, "the worker has ended"
        return any(
            p.ready and f"-{process.pid}-" in p.worker_id for p in await queue.registry.heartbeats()
        )

    await eventually(is_warm, "a warm worker", PATIENCE_S)


async def running(queue: RedisQueue, job: Job) -> None:
    """Wait until a job is running, and its worker has shown that it is awake."""
    [client], record = queue._clients, queue.submissions._keys.record(job.id)

    async def is_running() -> bool:
        status = (await queue.submissions.view(job.id)).status
        assert status in (JobStatus.QUEUED, JobStatus.RUNNING), "too fast for this test"
        shown = await client.hget(record, "handed") == b""
        return shown and status is JobStatus.RUNNING

    await eventually(is_running, "the start of the run", PATIENCE_S)


async def code_of(process: Process) -> int:
    return await asyncio.to_thread(process.wait, PATIENCE_S)


def a_long_job() -> Job:
    """A picture that takes more than a second at full width on one core."""
    return a_job(
        source_width=360,
        source_height=400,
        output_width=720,
        output_height=800,
        pinned_width=1.0,
    )


def an_endless_job() -> Job:
    """A picture that takes minutes to decode; see `draw_endless_jpeg`."""
    side = ENDLESS_SIDE
    return a_job(source_width=side, source_height=side, output_width=side, output_height=side)


async def delivered(queue: RedisQueue, job: Job) -> int:
    """Wait for a job's picture, and return how often the job was claimed."""
    view = await queue.submissions.wait(job.id, PATIENCE_S)
    assert view.status is JobStatus.SUCCEEDED
    picture = Image.open(io.BytesIO(await queue.submissions.result(view)))
    assert picture.size == (job.output_width, job.output_height)
    return view.attempt


async def test_the_job_of_a_killed_worker_is_run_by_the_next(
    queue: RedisQueue, environment: Mapping[str, str]
) -> None:
    job = a_long_job()
    with a_process(environment) as first:
        await ready(queue, first)
        await queue.submissions.submit(job, photograph(360, 400))
        await running(queue, job)
        first.send_signal(signal.SIGKILL)
        assert await code_of(first) == -signal.SIGKILL
    assert (await queue.submissions.view(job.id)).status is JobStatus.RUNNING
    with a_process(environment):
        assert await delivered(queue, job) == 2


async def test_sigterm_finishes_the_current_job_and_exits_with_0(
    queue: RedisQueue, environment: Mapping[str, str]
) -> None:
    job = a_long_job()
    with a_process(environment) as process:
        await ready(queue, process)
        await queue.submissions.submit(job, photograph(360, 400))
        await running(queue, job)
        process.send_signal(signal.SIGTERM)
        assert await code_of(process) == 0
    assert await delivered(queue, job) == 1
    assert await queue.registry.heartbeats() == []


async def test_contended_costs_are_saved_for_the_next_start(
    queue: RedisQueue, environment: Mapping[str, str], calibration_folder: Path
) -> None:
    environment = {**environment, "ANYSR_CALIBRATION_FOLDER": str(calibration_folder / "own")}
    jobs = [a_job() for _ in range(3)]
    for job in jobs:  # two wait when the first is claimed
        await queue.submissions.submit(job, photograph())
    with a_process(environment) as process:
        for job in jobs:
            await delivered(queue, job)
        process.send_signal(signal.SIGTERM)
        assert await code_of(process) == 0
    [kept] = (calibration_folder / "own").glob("contention-*.json")
    assert "network" in json.loads(kept.read_text())["contended"]["slowdown"]


async def test_a_second_signal_ends_it_at_once(
    queue: RedisQueue, environment: Mapping[str, str]
) -> None:
    job = a_long_job()

    def interrupted_again() -> bool:
        process.send_signal(signal.SIGINT)  # two that arrive together are handled as one
        return process.poll() is not None

    with a_process(environment) as process:
        await ready(queue, process)
        await queue.submissions.submit(job, photograph(360, 400))
        await running(queue, job)
        await eventually(interrupted_again, "the end of the worker", PATIENCE_S)
        assert await code_of(process) == 1
    assert (await queue.submissions.view(job.id)).status is JobStatus.RUNNING


async def test_metrics_are_served(queue: RedisQueue, environment: Mapping[str, str]) -> None:
    with socket.socket() as finder:
        finder.bind(("127.0.0.1", 0))
        port = finder.getsockname()[1]
    place = {"ANYSR_WORKER_METRICS_PORT": str(port), "ANYSR_WORKER_METRICS_HOST": "127.0.0.1"}
    with a_process({**environment, **place}) as process:
        await ready(queue, process)
        async with httpx.AsyncClient(trust_env=False) as client:
            text = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
    assert (
        f'anysr_model_info{{model="{default_entry().name}",precision="float32",runtime="onnx"}} 1.0'
        in text
    )
    assert "process_resident_memory_bytes" in text


async def test_a_picture_that_takes_too_long_to_decode_ends_and_the_worker_goes_on(
    queue: RedisQueue, environment: Mapping[str, str]
) -> None:
    """Its job has the bound, or is cancelled meanwhile."""
    bad, good, cancelled = an_endless_job(), a_job(), an_endless_job()
    with a_process({**environment, **ANY_SCANS, "ANYSR_DECODE_SECONDS": "1.5"}) as process:
        await ready(queue, process)
        await queue.submissions.submit(bad, draw_endless_jpeg())
        view = await queue.submissions.wait(bad.id, PATIENCE_S)
        assert (view.status, view.error_code) == (JobStatus.FAILED, "decoding_too_long")
        assert view.attempt == 1
        await queue.submissions.submit(good, photograph())
        assert await delivered(queue, good) == 1
        assert process.poll() is None
    with a_process({**environment, **ANY_SCANS, "ANYSR_DECODE_SECONDS": "3600"}) as process:
        await ready(queue, process)
        await queue.submissions.submit(cancelled, draw_endless_jpeg())
        await running(queue, cancelled)
        await queue.submissions.cancel(cancelled.id)
        after = a_job()
        await queue.submissions.submit(after, photograph())
        assert await delivered(queue, after) == 1


async def test_a_worker_reports_the_state_of_its_machine(
    queue: RedisQueue, environment: Mapping[str, str]
) -> None:
    async def is_reported() -> bool:
        return any(heartbeat.machine is not None for heartbeat in await queue.registry.heartbeats())

    with a_process(environment) as process:
        await ready(queue, process)
        await eventually(is_reported, "the state of the machine", PATIENCE_S)


async def test_cached_costs_are_read_at_a_start(
    queue: RedisQueue, environment: Mapping[str, str], kept: dict[str, list[float]]
) -> None:
    with a_process(environment) as process:
        await ready(queue, process)
        [heartbeat] = await queue.registry.heartbeats()
    assert heartbeat.costs["lines"] == kept


async def test_costs_are_measured_without_a_cache(
    queue: RedisQueue,
    environment: Mapping[str, str],
    kept: dict[str, list[float]],
    tmp_path: Path,
) -> None:
    with a_process({**environment, "ANYSR_CALIBRATION_FOLDER": str(tmp_path)}) as process:
        await ready(queue, process)
        [heartbeat] = await queue.registry.heartbeats()
    measured = heartbeat.costs["lines"]
    assert measured.keys() == kept.keys()
    assert measured != kept


async def test_a_worker_ends_with_its_parent_process(
    queue: RedisQueue, environment: Mapping[str, str]
) -> None:
    command = [sys.executable, "-c", PARENT, sys.executable, "-m", "workers.main"]
    pipe = asyncio.subprocess.PIPE
    parent = await asyncio.create_subprocess_exec(
        *command, env=environment, stdin=pipe, stdout=pipe
    )
    assert parent.stdout is not None
    worker = int(await parent.stdout.readline())

    async def is_there() -> bool:
        return any(
            p.ready and f"-{worker}-" in p.worker_id for p in await queue.registry.heartbeats()
        )

    async def is_gone() -> bool:
        return not await queue.registry.heartbeats()

    await eventually(is_there, "a warm worker", PATIENCE_S)
    parent.kill()
    await parent.communicate()
    await eventually(is_gone, "the end of the worker", PATIENCE_S)


@contextlib.contextmanager
def a_pool(
    environment: Mapping[str, str], command: Sequence[str] = ("-m", "workers.main")
) -> Iterator[WorkerPool]:
    """A pool of one process, which is killed at the end: it may hang."""
    pool = WorkerPool([environment], [sys.executable, *command])
    pool.start()
    try:
        yield pool
    finally:
        pool.stop(grace_s=0)


async def ready_in(queue: RedisQueue, pool: WorkerPool, not_pid: int = 0) -> int:
    """Wait until a process of a pool, and not a given one, is warm; return its id."""
    warm: list[int] = []

    async def is_warm() -> bool:
        ids = [p.worker_id for p in await queue.registry.heartbeats() if p.ready]
        pids = [pid for pid in pool.pids if pid != not_pid]
        warm[:] = [pid for pid in pids if any(f"-{pid}-" in worker_id for worker_id in ids)]
        return bool(warm)

    await eventually(is_warm, "a warm worker", PATIENCE_S)
    return warm[0]


@pytest.fixture
def hang(tmp_path: Path) -> Path:
    """The file that lets the network of a process of `HANGING` hang."""
    return tmp_path / "hang"


def hanging(hang: Path, overdue_s: float, library: str = "CDLL") -> Sequence[str]:
    """The command of a worker as described at `HANGING`, whose run is overdue after a time."""
    return ("-c", HANGING, str(hang), library, str(overdue_s))


async def hung(queue: RedisQueue, hang: Path) -> Job:
    """Submit a job whose network hangs, and wait until it does."""
    job = a_job()
    await asyncio.to_thread(hang.touch)
    await queue.submissions.submit(job, photograph())
    await eventually(lambda: not hang.exists(), "a network that hangs", PATIENCE_S)
    return job


async def test_a_worker_whose_cancelled_run_hangs_is_replaced(
    queue: RedisQueue, environment: Mapping[str, str], hang: Path
) -> None:
    environment = {**environment, "ANYSR_STUCK_SECONDS": "0.5"}
    with a_pool(environment, hanging(hang, overdue_s=3600)) as pool:
        stuck = await ready_in(queue, pool)
        await queue.submissions.cancel((await hung(queue, hang)).id)
        following = a_job()
        await queue.submissions.submit(following, photograph())
        assert await delivered(queue, following) == 1
        assert stuck not in pool.pids
    health = await queue.registry.health()
    assert (health.stuck_workers, health.worker_starts) == (1, 2)


async def test_a_worker_whose_run_never_ends_is_replaced_and_its_job_run_again(
    queue: RedisQueue, environment: Mapping[str, str], hang: Path
) -> None:
    with a_pool(environment, hanging(hang, overdue_s=3)) as pool:
        stuck = await ready_in(queue, pool)
        assert await delivered(queue, await hung(queue, hang)) == 2
        assert stuck not in pool.pids
    assert (await queue.registry.health()).stuck_workers == 1


async def test_a_worker_that_hangs_ends_with_a_code_and_a_line_of_its_own(
    queue: RedisQueue,
    environment: Mapping[str, str],
    hang: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    with a_process(environment, hanging(hang, overdue_s=1)) as process:
        await ready(queue, process)
        job = await hung(queue, hang)
        assert await code_of(process) == STUCK_EXIT_CODE
    assert f"the run of job {job.id} has taken" in capfd.readouterr().err
    assert (await queue.submissions.view(job.id)).status is JobStatus.RUNNING


@pytest.fixture
def soon_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a pool wait for a silent worker only for as long as one may stall."""
    monkeypatch.setattr("workers.keepalive.SILENT_S", 6.0)


@pytest.mark.usefixtures("soon_silent")
async def test_a_worker_that_is_stopped_by_a_signal_is_replaced(
    queue: RedisQueue, environment: Mapping[str, str]
) -> None:
    with a_pool(environment) as pool:
        stopped = await ready_in(queue, pool)
        os.kill(stopped, signal.SIGSTOP)
        await ready_in(queue, pool, not_pid=stopped)
        job = a_job()
        await queue.submissions.submit(job, photograph())
        assert await delivered(queue, job) == 1
    health = await queue.registry.health()
    assert (health.stuck_workers, health.worker_starts) == (1, 2)


@pytest.mark.usefixtures("soon_silent")
async def test_a_worker_whose_network_keeps_pythons_lock_is_replaced(
    queue: RedisQueue, environment: Mapping[str, str], hang: Path
) -> None:
    with a_pool(environment, hanging(hang, 3600, library="PyDLL")) as pool:
        stuck = await ready_in(queue, pool)
        assert await delivered(queue, await hung(queue, hang)) == 2
        assert stuck not in pool.pids


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ANYSR_REDIS_URL": ""}, "Set ANYSR_REDIS_URL"),
        ({"ANYSR_MODELS": "nowhere"}, "cannot read nowhere"),
        ({"ANYSR_RUNTIME": "torchscript"}, "has no TorchScript file"),
    ],
)
def test_wrong_settings_end_with_a_message(
    environment: Mapping[str, str], change: dict[str, str], message: str
) -> None:
    command = [sys.executable, "-m", "workers.main"]
    ended = subprocess.run(
        command, env={**environment, **change}, capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert ended.returncode == 1
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr
