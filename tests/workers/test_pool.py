"""The pool: processes are started, restarted and stopped, each with its environment."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

import pytest

from jobs.settings import QueueSettings
from tests.support.waiting import eventually_sync
from workers.environment import environment_of
from workers.pool import WorkerPool, pool_environments
from workers.settings import Device, WorkerSettings

SLEEPER = (
    "import os, pathlib, signal, sys, time\n"
    "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n"
    "folder = pathlib.Path(os.environ['FOLDER'])\n"
    "(folder / f'{os.getpid()}').write_text(os.environ['SLOT'])\n"
    "time.sleep(600)\n"
)
STUBBORN = SLEEPER.replace("lambda *_: sys.exit(0)", "signal.SIG_IGN")


def written(folder: Path) -> list[str]:
    """Return what the processes wrote, sorted; a file is empty until its process has written it."""
    return sorted(filter(None, (file.read_text() for file in folder.iterdir())))


def until_written(folder: Path, *texts: str) -> None:
    """Wait until the processes have written these texts, given in order."""
    eventually_sync(lambda: written(folder) == list(texts), f"processes that wrote {texts}")


def pool_of(folder: Path, processes: int, script: str = SLEEPER) -> WorkerPool:
    environments = [
        {**os.environ, "FOLDER": str(folder), "SLOT": str(slot)} for slot in range(processes)
    ]
    return WorkerPool(environments, command=(sys.executable, "-c", script))


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_all_processes_run_and_end_with_the_pool(tmp_path: Path) -> None:
    with pool_of(tmp_path, 2) as pool:
        until_written(tmp_path, "0", "1")
        pids = pool.pids
        assert len(pids) == 2
    assert not any(lives(pid) for pid in pids)
    assert pool.pids == []
    pool.wait()


def test_a_process_that_dies_is_started_again_in_its_place(tmp_path: Path) -> None:
    with pool_of(tmp_path, 2) as pool:
        until_written(tmp_path, "0", "1")
        [victim] = [p for p in tmp_path.iterdir() if p.read_text() == "1"]
        os.kill(int(victim.name), signal.SIGKILL)
        until_written(tmp_path, "0", "1", "1")
        assert int(victim.name) not in pool.pids


def test_a_process_that_does_not_end_in_time_is_killed(tmp_path: Path) -> None:
    pool = pool_of(tmp_path, 1, STUBBORN)
    pool.start()
    until_written(tmp_path, "0")
    [pid] = pool.pids
    pool.stop(grace_s=0.1)
    assert not lives(pid)


def test_a_pool_that_is_killed_while_it_stops_has_ended(tmp_path: Path) -> None:
    pool = pool_of(tmp_path, 2, STUBBORN)
    pool.start()
    until_written(tmp_path, "0", "1")
    pids = pool.pids
    stopping = threading.Thread(target=pool.stop)
    stopping.start()
    pool.kill()
    stopping.join(30)
    assert not stopping.is_alive()
    assert not any(lives(pid) for pid in pids)


def test_stopping_does_not_wait_for_a_restart_pause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.pool.FIRST_PAUSE_S", 3600.0)
    pool = pool_of(tmp_path, 1, SLEEPER.replace("time.sleep(600)", "sys.exit(3)"))
    pool.start()
    until_written(tmp_path, "0")
    eventually_sync(lambda: not pool.pids, "the end of the process")
    pool.stop()
    assert pool.pids == []


def test_a_reload_does_not_end_a_process_without_a_handler(
    tmp_path: Path,
) -> None:
    answering = (
        "time.sleep(0.2)\n"  # the signal arrives before its handler is installed
        "noted = folder / f'{os.getpid()}'\n"
        "signal.signal(signal.SIGHUP, lambda *_: noted.write_text('again'))\n"
        "signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})\n"
    )
    script = SLEEPER.replace("time.sleep(600)", f"{answering}time.sleep(600)")
    with pool_of(tmp_path, 2, script) as pool:
        until_written(tmp_path, "0", "1")
        pool.reload()
        until_written(tmp_path, "again", "again")
        assert sorted(int(p.name) for p in tmp_path.iterdir()) == sorted(pool.pids)


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in [name for name in os.environ if name.startswith("ANYSR_")]:
        monkeypatch.delenv(name)
    return monkeypatch


def test_settings_survive_a_round_trip_through_the_environment(
    clean: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = WorkerSettings(
        models_folder=tmp_path, device=Device.CUDA, worker_threads=3, spin=True
    )
    queue = QueueSettings(namespace="other", redis_url="redis://example", lease_seconds=2.5)
    for name, value in {**environment_of(settings), **environment_of(queue)}.items():
        clean.setenv(name, value)
    assert WorkerSettings() == settings
    assert QueueSettings() == queue


def test_each_process_has_its_port_and_its_share_of_the_cores(clean: pytest.MonkeyPatch) -> None:
    settings = WorkerSettings(worker_metrics_port=9100)
    made = pool_environments(3, settings, QueueSettings(), "unix:///socket", {"PATH": "/bin"})
    assert [e["ANYSR_WORKER_METRICS_PORT"] for e in made] == ["9100", "9101", "9102"]
    assert all(int(e["ANYSR_WORKER_THREADS"]) >= 1 for e in made)
    assert {e["ANYSR_REDIS_URL"] for e in made} == {"unix:///socket"}
    assert {e["PATH"] for e in made} == {"/bin"}
    clean.setenv("ANYSR_EXIT_WITH_PARENT", made[0]["ANYSR_EXIT_WITH_PARENT"])
    assert WorkerSettings().exit_with_parent
