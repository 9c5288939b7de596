"""The state of a worker's machine, sampled in the background.

Sampling has a thread of its own, so that no job and no heartbeat waits for a slow driver. A sample
is valid for a few periods; after that the state is unknown.
"""

from __future__ import annotations

import logging
import os
import platform
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from jobs.heartbeat import MachineState
from workers.gpu import Gpu, gpu_name
from workers.machine_load import CpuTimes, Sample, machine_state

log = logging.getLogger("anysr.workers.machine")

VALID_PERIODS = 5
NO_TIMES = CpuTimes(0.0, 0.0, 0.0)
CPU_INFO = Path("/proc/cpuinfo")
CGROUP = Path("/sys/fs/cgroup")
USABLE = 0.9
"""Part of the available memory that one run may take: other workers of the machine may start runs
before the next sample."""


class MachineWatch:
    """Takes a sample every `every_s` seconds while it is entered."""

    def __init__(
        self,
        sample: Callable[[], Sample],
        every_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sample = sample
        self._every_s = every_s
        self._clock = clock
        self._before: Sample | None = None
        self._last: tuple[float, MachineState] | None = None
        self._failing = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="machine", daemon=True)

    @property
    def state(self) -> MachineState | None:
        """The last known state; None while unknown."""
        last = self._last
        if last is None or self._clock() - last[0] > VALID_PERIODS * self._every_s:
            return None
        return last[1]

    def update(self) -> None:
        """Take one sample."""
        at = self._clock()
        try:
            sample = self._sample()
        except Exception as error:  # an unknown state does not stop the worker
            if not self._failing:
                log.warning("cannot sample this machine: %s", error)
            self._failing = True
            return
        self._failing = False
        state = machine_state(self._before, sample) if self._before is not None else None
        self._before = sample
        if state is not None:
            self._last = (at, state)

    def _watch(self) -> None:
        self.update()
        while not self._stopping.wait(self._every_s):
            self.update()

    def __enter__(self) -> MachineWatch:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stopping.set()  # not joined: a driver that hangs must not delay the end of the worker


class Machine:
    """Samples a machine by psutil, and by NVML where there is a GPU and its library."""

    def __init__(self, find: Callable[[], Gpu | None]) -> None:
        self._find = find
        self._gpu: Gpu | None = None
        self._searched = False

    def sample(self) -> Sample:
        """Read the counters. Raises OSError and psutil.Error on systems without them."""
        if not self._searched:  # at the first sample, because a driver may take a second to start
            self._gpu, self._searched = self._find(), True
        memory = psutil.virtual_memory()
        available, total = memory.available, memory.total
        if (container := container_memory()) is not None:
            available, total = min(available, container[0]), min(total, container[1])
        gpu = self._gpu.state() if self._gpu is not None else None
        return Sample(cpu_times(psutil.cpu_times()), available, total, gpu)


def container_memory(folder: Path = CGROUP) -> tuple[int, int] | None:
    """Return the available and the total bytes of this container, by Linux's control groups
    version 2; None without a limit. Cached files that are not in active use count as available."""
    try:
        limit = int((folder / "memory.max").read_text())
        used = int((folder / "memory.current").read_text())
        statistics = dict(map(str.split, (folder / "memory.stat").read_text().splitlines()))
        return max(0, limit - used + int(statistics["inactive_file"])), limit
    except (OSError, ValueError, KeyError):  # "max" is no number
        return None


def available_memory(state: MachineState | None) -> int | None:
    """Return the bytes that a run may take, None while unknown."""
    return None if state is None else round(USABLE * state.memory_available_bytes)


def cpu_times(counters: Any) -> CpuTimes:
    """Convert psutil's counters, whose fields differ between systems."""
    seconds: dict[str, float] = counters._asdict()
    # Linux counts the time of virtual machines in user and nice as well.
    guests = seconds.get("guest", 0.0) + seconds.get("guest_nice", 0.0)
    total = sum(seconds.values()) - guests
    steal = seconds.get("steal", 0.0)
    waiting = seconds["idle"] + seconds.get("iowait", 0.0)
    return CpuTimes(total, total - waiting - steal, steal)


def available_times() -> CpuTimes:
    """Read the counters of the cores that this process may use; all zero if there are none.

    Raises OSError and psutil.Error on systems without them.
    """
    cores = psutil.cpu_times(percpu=True)
    if hasattr(os, "sched_getaffinity"):
        own = os.sched_getaffinity(0)
        cores = [core for number, core in enumerate(cores) if number in own] or cores
    return CpuTimes(*map(sum, zip(*map(cpu_times, cores), strict=True))) if cores else NO_TIMES


def cpu_name(described: Path = CPU_INFO) -> str:
    """Return the model of the processor on Linux, elsewhere what Python's `platform` reports."""
    try:
        lines = described.read_text().splitlines()
    except OSError:
        lines = []
    # ARM processors have numbers instead of a model name.
    names = {
        line.partition(":")[2].strip()
        for line in lines
        if line.startswith(("model name", "CPU implementer", "CPU part"))
    }
    return ", ".join(sorted(names)) or platform.processor() or platform.machine()


def machine_facts(gpu: bool = False) -> list[str | int | None]:
    """Return the facts that determine a machine's speed: system, processor, number of cores and,
    with `gpu`, the GPU."""
    name = gpu_name(os.environ) if gpu else None
    return [platform.system(), platform.machine(), cpu_name(), os.cpu_count(), name]


def cpu_flags(described: Path = CPU_INFO) -> frozenset[str]:
    """Return the feature flags of the processor as Linux names them; empty on other systems."""
    try:
        lines = described.read_text().splitlines()
    except OSError:
        return frozenset()
    flags = (line.partition(":")[2] for line in lines if line.startswith(("flags", "Features")))
    return frozenset(next(flags, "").split())
