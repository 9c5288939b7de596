"""The processes of a service, by what they do, and what each of them has (Linux)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import psutil

from images.sandbox.decoder import COMMAND as DECODER_COMMAND
from workers.pool import COMMAND as WORKER_COMMAND


class Role(StrEnum):
    """What a process does."""

    GATEWAY = "gateway"
    WORKER = "worker"
    DECODER = "decoder"
    REDIS = "Redis"
    GUARDIAN = "guardian of Redis"
    """The shell around Redis."""
    OTHER = "other"


@dataclass(frozen=True)
class ProcessSample:
    """What one process has at a moment; bytes, and counts."""

    role: str
    pid: int
    rss: int
    pss: int
    uss: int
    files: int
    """Open files, sockets among them."""
    sockets: int
    threads: int
    cpu_s: float
    """Processor time since it began."""


class ProcessTree:
    """An `anysr serve` and all its descendants."""

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)
        self._cpu_s: dict[int, float] = {}
        self._spent_s = 0.0

    def sample(self) -> list[ProcessSample]:
        """Return what each process has; one that ends meanwhile is left out."""
        return list(self._samples())

    def spent_s(self) -> float:
        """Return the processor time of all that have lived since the first call, in seconds."""
        for process in self._living():
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                now_s = times.user + times.system
                self._spent_s += now_s - self._cpu_s.get(process.pid, 0.0)
                self._cpu_s[process.pid] = now_s
        return self._spent_s

    def redis_socket(self) -> str:
        """Return the path of the private Redis. Raises LookupError."""
        for process in self._living():
            for word in process.cmdline():
                if word.endswith("redis.sock"):
                    return str(word).removeprefix("unixsocket:")
        raise LookupError("the service has no private Redis")

    def _living(self) -> list[psutil.Process]:
        try:
            return [self._root, *self._root.children(recursive=True)]
        except psutil.Error:
            return []

    def _samples(self) -> Iterator[ProcessSample]:
        for process in self._living():
            with contextlib.suppress(psutil.Error, OSError):
                memory, times = process.memory_full_info(), process.cpu_times()
                files, sockets = _open_files(process.pid)
                yield ProcessSample(
                    role=self._role_of(process),
                    pid=process.pid,
                    rss=memory.rss,
                    pss=memory.pss,
                    uss=memory.uss,
                    files=files,
                    sockets=sockets,
                    threads=process.num_threads(),
                    cpu_s=times.user + times.system,
                )

    def _role_of(self, process: psutil.Process) -> Role:
        command = process.cmdline()
        if process.pid == self._root.pid:
            return Role.GATEWAY
        if command[1:4] == list(WORKER_COMMAND[1:]):
            return Role.WORKER
        if command[1:4] == list(DECODER_COMMAND[1:]):
            return Role.DECODER
        if command and command[0] == "/bin/sh":
            return Role.GUARDIAN
        return Role.REDIS if any("redis.sock" in word for word in command) else Role.OTHER


def _open_files(pid: int) -> tuple[int, int]:
    """Return the numbers of open files and of the sockets among them."""
    folder, files, sockets = f"/proc/{pid}/fd", 0, 0
    for name in os.listdir(folder):
        with contextlib.suppress(OSError):  # it was closed meanwhile
            sockets += os.readlink(f"{folder}/{name}").startswith("socket:")
            files += 1
    return files, sockets
