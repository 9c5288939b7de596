"""Processes of a local service, and their memory (Linux)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import psutil

from workers.pool import COMMAND

GATEWAY = "gateway"
WORKER = "worker"


class ServiceProcesses:
    """The gateway and the workers of an `anysr serve`."""

    def __init__(self, pid: int) -> None:
        self._gateway = psutil.Process(pid)

    def worker_pids(self) -> frozenset[int]:
        """Return the workers that live now; a dead one is replaced by one of another id."""
        return frozenset(process.pid for process in self._workers())

    def resident_bytes(self) -> dict[str, int]:
        """Return the resident memory of the gateway, and that of the largest worker."""
        return self._largest("VmRSS")

    def peak_bytes(self) -> dict[str, int]:
        """Return the same, the kernel's high-water mark since `reset_peaks`."""
        return self._largest("VmHWM")

    def reset_peaks(self) -> None:
        """Set the high-water marks to what is resident now (proc(5), clear_refs)."""
        for pid in (self._gateway.pid, *self.worker_pids()):
            Path(f"/proc/{pid}/clear_refs").write_text("5")

    def _largest(self, field: str) -> dict[str, int]:
        workers = [_status(pid, field) for pid in self.worker_pids()]
        return {GATEWAY: _status(self._gateway.pid, field), WORKER: max(workers, default=0)}

    def _workers(self) -> Iterator[psutil.Process]:
        for child in self._gateway.children():
            if child.cmdline()[-2:] == list(COMMAND[-2:]):
                yield child


def _status(pid: int, field: str) -> int:
    """Return a field of a process's status in bytes, 0 for a process that has ended."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(rf"^{field}:\s+(\d+) kB$", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0
