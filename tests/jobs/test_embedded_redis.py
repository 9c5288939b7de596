"""The private server: reachable by its owner alone, and gone when its owner is."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
import redis

from jobs import embedded_redis as module
from jobs.embedded_redis import Binary, RedisUnavailableError, embedded_redis, find_binary

ROOT = Path(__file__).parents[2]
OWNER = """
import sys, time
from jobs.embedded_redis import Binary, embedded_redis
with embedded_redis(Binary(sys.argv[1])) as url:
    print(url, flush=True)
    time.sleep(60)
"""


@pytest.fixture(params=list(Binary))
def binary(request: pytest.FixtureRequest) -> Binary:
    chosen = Binary(request.param)
    if find_binary(chosen) is None:
        pytest.skip(f"{chosen} is not installed")
    return chosen


def socket_of(url: str) -> Path:
    assert url.startswith("unix://")
    return Path(url.removeprefix("unix://"))


def test_it_answers_and_is_private(binary: Binary) -> None:
    with embedded_redis(binary) as url:
        folder = socket_of(url).parent
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        with redis.Redis.from_url(url) as client:
            assert client.ping() is True
            assert client.config_get("port")["port"] == "0"
            assert client.config_get("save")["save"] == ""
            assert client.config_get("appendonly")["appendonly"] == "no"
            assert client.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"


def test_it_leaves_nothing_behind(binary: Binary) -> None:
    with embedded_redis(binary) as url, redis.Redis.from_url(url) as client:
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
        with redis.Redis.from_url(first) as client:
            client.set("key", "value")
        with redis.Redis.from_url(second) as client:
            assert client.get("key") is None


def test_it_dies_with_an_owner_who_is_killed(binary: Binary) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, binary.value], stdout=subprocess.PIPE, cwd=ROOT, text=True
    )
    assert owner.stdout is not None
    url = owner.stdout.readline().strip()
    with redis.Redis.from_url(url) as client:
        assert client.ping() is True
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    owner.stdout.close()
    until = time.monotonic() + 10
    while socket_of(url).parent.exists() and time.monotonic() < until:
        time.sleep(0.02)
    assert not socket_of(url).parent.exists()
    with redis.Redis.from_url(url) as client, pytest.raises(redis.ConnectionError):
        client.ping()


def test_a_deep_temporary_folder_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("x" * 120)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    with embedded_redis() as url, redis.Redis.from_url(url) as client:
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
