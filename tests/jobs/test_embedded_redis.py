"""The private server: reachable by its owner alone, and there for as long as its owner is."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from jobs import embedded_redis as module
from jobs import server_keeper
from jobs.embedded_redis import (
    Binary,
    default_memory_mb,
    embedded_redis,
    find_binary,
    redis_server,
)
from jobs.server_process import RedisUnavailableError
from jobs.settings import QueueSettings
from tests.support.waiting import PATIENCE_S, eventually_sync

ROOT = Path(__file__).parents[2]
OWNER = """
import sys, time
from jobs.embedded_redis import Binary, embedded_redis
with embedded_redis(Binary(sys.argv[1])) as url:
    print(url, flush=True)
    time.sleep(600)
"""
LOSER = """
import signal, sys, time
from jobs import server_keeper
from jobs.embedded_redis import redis_server
from jobs.settings import QueueSettings
server_keeper.PAUSES_S = ()
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
with redis_server(QueueSettings(redis_url=None)) as url:
    print(url, flush=True)
    time.sleep(600)
"""
"""A service that asks to be ended in order, and whose Redis is not started again."""


@pytest.fixture(params=list(Binary))
def binary(request: pytest.FixtureRequest) -> Binary:
    chosen = Binary(request.param)
    if find_binary(chosen) is None:
        pytest.skip(f"{chosen} is not installed")
    return chosen


def socket_of(url: str) -> Path:
    assert url.startswith("unix://")
    return Path(url.removeprefix("unix://"))


def client_of(url: str) -> redis.Redis:
    """Return a client that raises at once when the server ends, where others retry for seconds."""
    return redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0))


def server_of(client: redis.Redis) -> psutil.Process:
    return psutil.Process(client.info()["process_id"])


def end(client: redis.Redis, how: signal.Signals = signal.SIGKILL) -> psutil.Process:
    """End the server that a client is connected to, and wait until it has ended."""
    server = server_of(client)
    server.send_signal(how)
    server.wait(PATIENCE_S)
    return server


def until_answering(client: redis.Redis) -> None:
    eventually_sync(lambda: answers(client), "an answer of the private Redis")


def answers(client: redis.Redis) -> bool:
    with contextlib.suppress(redis.ConnectionError):
        return bool(client.ping())
    return False


def test_it_answers_and_is_private(binary: Binary) -> None:
    with embedded_redis(binary) as url:
        folder = socket_of(url).parent
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        with client_of(url) as client:
            assert client.ping() is True
            assert client.config_get("port")["port"] == "0"
            assert client.config_get("save")["save"] == ""
            assert client.config_get("appendonly")["appendonly"] == "no"
            assert client.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"


def test_it_leaves_nothing_behind(binary: Binary) -> None:
    with embedded_redis(binary) as url, client_of(url) as client:
        pid = client.info()["process_id"]
    assert not socket_of(url).parent.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_it_leaves_nothing_behind_after_an_error() -> None:
    class Bug(Exception):
        pass

    with pytest.raises(Bug), embedded_redis() as url:
        raise Bug
    assert not socket_of(url).parent.exists()


def test_two_do_not_meet() -> None:
    with embedded_redis() as first, embedded_redis() as second:
        with client_of(first) as client:
            client.set("key", "value")
        with client_of(second) as client:
            assert client.get("key") is None


@pytest.mark.parametrize("killed_before", [False, True])
def test_it_dies_with_an_owner_who_is_killed(binary: Binary, killed_before: bool) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, binary.value], stdout=subprocess.PIPE, cwd=ROOT, text=True
    )
    assert owner.stdout is not None
    url = owner.stdout.readline().strip()
    with client_of(url) as client:
        if killed_before:
            end(client)
            until_answering(client)
        assert client.ping() is True
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    owner.stdout.close()
    eventually_sync(lambda: not socket_of(url).parent.exists(), "the removal of its folder")
    with client_of(url) as client, pytest.raises(redis.ConnectionError):
        client.ping()


def test_a_deep_temporary_folder_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("x" * 120)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    with embedded_redis() as url, client_of(url) as client:
        assert client.ping() is True


def test_no_binary_at_all_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_binary", lambda binary: None)
    with pytest.raises(RedisUnavailableError, match="ANYSR_REDIS_URL"), embedded_redis():
        pytest.fail("there is no server to start")


def test_a_server_that_does_not_start_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "redis-server"
    fake.write_text("#!/bin/sh\necho 'no room on the moon' >&2\nexit 3\n")
    fake.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with (
        pytest.raises(RedisUnavailableError, match="no room on the moon"),
        embedded_redis(Binary.SYSTEM),
    ):
        pytest.fail("the server cannot have started")


def test_it_takes_no_more_memory_than_its_setting() -> None:
    settings = QueueSettings(embedded_redis_mb=64)
    with redis_server(settings) as url, client_of(url) as client:
        assert client.info("memory")["maxmemory"] == 64 * 2**20
        with client.pipeline(transaction=False) as pipe:
            for number in range(70):
                pipe.set(f"picture-{number}", bytes(2**20))
            *_, last = pipe.execute(raise_on_error=False)
        assert isinstance(last, redis.OutOfMemoryError)
        assert client.exists("picture-0")  # nothing was thrown away for what came later
    with embedded_redis() as url, client_of(url) as client:
        assert client.info("memory")["maxmemory"] == default_memory_mb() * 2**20


@pytest.mark.parametrize(
    ("machine_gb", "container", "memory_mb"),
    [(0.5, "max", 256), (4, "max", 1024), (64, "max", 2048), (64, f"{2 * 2**30}", 512)],
)
def test_it_may_take_a_quarter_of_the_memory_that_there_is(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    machine_gb: float,
    container: str,
    memory_mb: int,
) -> None:
    limit = tmp_path / "memory.max"
    limit.write_text(f"{container}\n")
    monkeypatch.setattr(module, "CONTAINER_LIMITS", (limit, tmp_path / "none"))
    machine = SimpleNamespace(total=int(machine_gb * 2**30))
    monkeypatch.setattr(psutil, "virtual_memory", lambda: machine)
    assert default_memory_mb() == memory_mb


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_server_that_ends_is_started_again(
    binary: Binary, how: signal.Signals, caplog: pytest.LogCaptureFixture
) -> None:
    with embedded_redis(binary) as url, client_of(url) as client:
        for _ in range(2):
            client.set("key", "value")
            ended = end(client, how)
            until_answering(client)
            assert client.get("key") is None
            assert server_of(client).pid != ended.pid
        assert stat.S_IMODE(socket_of(url).parent.stat().st_mode) == 0o700
        last = server_of(client)
    assert not last.is_running()
    assert not socket_of(url).parent.exists()
    ends = [record for record in caplog.records if "the private Redis is gone" in record.message]
    assert [record.levelname for record in ends] == ["ERROR", "ERROR"]


def test_a_server_without_its_guardian_is_replaced(binary: Binary) -> None:
    with embedded_redis(binary) as url, client_of(url) as client:
        server = server_of(client)
        guardian = server.parent()
        assert guardian is not None
        guardian.kill()
        server.wait(PATIENCE_S)
        until_answering(client)
        assert server_of(client).pid != server.pid


def test_a_server_that_ends_time_and_again_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_keeper, "PAUSES_S", (0.01, 0.02))
    lost, urls = threading.Event(), []

    def serve() -> None:
        with embedded_redis(on_lost=lost.set) as url, client_of(url) as client:
            urls.append(url)
            for _ in range(3):
                assert not lost.is_set()
                until_answering(client)
                end(client)
            assert lost.wait(PATIENCE_S)
            assert not answers(client)

    with pytest.raises(RedisUnavailableError, match=r"status 137.*ANYSR_REDIS_URL"):
        serve()
    assert not socket_of(urls[0]).parent.exists()


def test_a_server_that_has_lived_for_long_may_end_as_often_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server_keeper, "PAUSES_S", (0.01,))
    monkeypatch.setattr(server_keeper, "HEALTHY_AFTER_S", 0.0)
    with embedded_redis() as url, client_of(url) as client:
        for _ in range(3):
            end(client)
            until_answering(client)


def test_leaving_does_not_wait_for_the_next_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_keeper, "PAUSES_S", (3600.0,))
    with embedded_redis() as url, client_of(url) as client:
        end(client)
    assert not socket_of(url).parent.exists()


def test_a_server_that_cannot_be_started_again_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = find_binary(Binary.BUNDLED) or find_binary(Binary.SYSTEM)
    once = tmp_path / "redis-server"
    refusal = "{ echo 'no second run'; exit 4; }"
    once.write_text(f'#!/bin/sh\nmkdir "{tmp_path}/ran" || {refusal}\nexec "{real}" "$@"\n')
    once.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(server_keeper, "PAUSES_S", (0.01, 0.02))
    lost = threading.Event()

    def serve() -> None:
        with embedded_redis(Binary.SYSTEM, on_lost=lost.set) as url, client_of(url) as client:
            end(client)
            assert lost.wait(PATIENCE_S)

    with pytest.raises(RedisUnavailableError, match="no second run"):
        serve()


def test_a_service_whose_redis_is_given_up_ends_with_an_error() -> None:
    service = subprocess.Popen(
        [sys.executable, "-c", LOSER],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    )
    assert service.stdout is not None
    with client_of(service.stdout.readline().strip()) as client:
        end(client)
    _, said = service.communicate(timeout=PATIENCE_S)
    assert service.returncode == 1
    assert "The private Redis server is given up (status 137 Killed)" in said
