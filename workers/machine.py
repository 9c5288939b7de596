"""The machine that a worker runs on, looked at in the background.

On a thread of its own: no job and no heartbeat waits for a driver that takes its time. What it
found last counts for some periods only; after that, nothing is known.
"""

from __future__ import annotations

import logging
import os
import platform
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from jobs.heartbeat import GpuState, MachineState
from workers.machine_load import CpuTimes, Sample, machine_state

log = logging.getLogger("anysr.workers.machine")

VALID_PERIODS = 5
NO_TIMES = CpuTimes(0.0, 0.0, 0.0)
CPU_INFO = Path("/proc/cpuinfo")


class MachineWatch:
    """Takes a sample every `every_s` seconds while it is entered."""

    def __init__(
        self,
        take: Callable[[], Sample],
        every_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._take = take
        self._every_s = every_s
        self._clock = clock
        self._before: Sample | None = None
        self._found: tuple[float, MachineState] | None = None
        self._failing = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="machine", daemon=True)

    @property
    def state(self) -> MachineState | None:
        """The machine as it was a moment ago; None while nobody knows."""
        found = self._found
        if found is None or self._clock() - found[0] > VALID_PERIODS * self._every_s:
            return None
        return found[1]

    def look(self) -> None:
        """Take one sample."""
        at = self._clock()
        try:
            sample = self._take()
        except Exception as error:  # a machine that cannot be looked at can still make pictures
            if not self._failing:
                log.warning("cannot look at this machine: %s", error)
            self._failing = True
            return
        self._failing = False
        state = machine_state(self._before, sample) if self._before is not None else None
        self._before = sample
        if state is not None:
            self._found = (at, state)

    def _watch(self) -> None:
        self.look()
        while not self._stopping.wait(self._every_s):
            self.look()

    def __enter__(self) -> MachineWatch:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stopping.set()  # not joined: a driver that hangs must not hold the worker's end up


class Machine:
    """Takes samples by psutil, and by NVML where there is a GPU and its library."""

    def __init__(self, find: Callable[[], Gpu | None]) -> None:
        self._find = find
        self._gpu: Gpu | None = None
        self._searched = False

    def sample(self) -> Sample:
        """Read the counters. Raises OSError and psutil.Error where the system has none."""
        if not self._searched:  # at the first sample, for a driver may take a second to begin
            self._gpu, self._searched = self._find(), True
        memory = psutil.virtual_memory()
        gpu = self._gpu.state() if self._gpu is not None else None
        return Sample(cpu_times(psutil.cpu_times()), memory.available, memory.total, gpu)


def cpu_times(counters: Any) -> CpuTimes:
    """Read psutil's counters, whose fields differ from system to system."""
    seconds: dict[str, float] = counters._asdict()
    # Linux counts the time of virtual machines twice: it is in user and nice already.
    guests = seconds.get("guest", 0.0) + seconds.get("guest_nice", 0.0)
    total = sum(seconds.values()) - guests
    steal = seconds.get("steal", 0.0)
    waiting = seconds["idle"] + seconds.get("iowait", 0.0)
    return CpuTimes(total, total - waiting - steal, steal)


def available_times() -> CpuTimes:
    """Read the counters of the cores that this process may use, all zero where there are none.

    Raises OSError and psutil.Error where the system does not tell them.
    """
    cores = psutil.cpu_times(percpu=True)
    if hasattr(os, "sched_getaffinity"):
        own = os.sched_getaffinity(0)
        cores = [core for number, core in enumerate(cores) if number in own] or cores
    return CpuTimes(*map(sum, zip(*map(cpu_times, cores), strict=True))) if cores else NO_TIMES


class Gpu:
    """One GPU, asked by NVML. PipelineResult by `find_gpu`."""

    def __init__(self, nvml: Any, handle: Any) -> None:
        self._nvml = nvml
        self._handle = handle

    @property
    def name(self) -> str | None:
        """What its maker calls it; None if it does not say."""
        try:
            return str(self._nvml.nvmlDeviceGetName(self._handle))
        except self._nvml.NVMLError:
            return None

    def state(self) -> GpuState | None:
        """Return what it does; None while it cannot be asked."""
        try:
            memory = self._nvml.nvmlDeviceGetMemoryInfo(self._handle)
        except self._nvml.NVMLError:
            return None
        return GpuState(self._load(), int(memory.used), int(memory.total))

    def _load(self) -> float | None:
        try:
            percent = self._nvml.nvmlDeviceGetUtilizationRates(self._handle).gpu
        except self._nvml.NVMLError:  # a slice of a GPU (MIG) has memory of its own, but no load
            return None
        return float(min(max(percent / 100, 0.0), 1.0))


def find_gpu(environment: Mapping[str, str]) -> Gpu | None:
    """Return the GPU that a worker's network would run on: the first that CUDA shows to it.

    None without a GPU, its driver or the library nvidia-ml-py.
    """
    visible = environment.get("CUDA_VISIBLE_DEVICES", "0").partition(",")[0].strip()
    try:
        import pynvml as nvml
    except ImportError:
        return None
    try:
        nvml.nvmlInit()
        if visible.isdecimal():
            return Gpu(nvml, nvml.nvmlDeviceGetHandleByIndex(int(visible)))
        return Gpu(nvml, nvml.nvmlDeviceGetHandleByUUID(visible)) if visible else None
    except nvml.NVMLError as error:
        log.debug("no GPU to look at: %s", error)
        return None


def gpu_name(environment: Mapping[str, str]) -> str | None:
    """Return the name of that GPU, if there is one that says it."""
    gpu = find_gpu(environment)
    return gpu.name if gpu is not None else None


def cpu_name(described: Path = CPU_INFO) -> str:
    """Return what the processor calls itself: its model on Linux, elsewhere what Python knows."""
    try:
        lines = described.read_text().splitlines()
    except OSError:
        lines = []
    # ARM has no model name, but numbers that say as much.
    told = {
        line.partition(":")[2].strip()
        for line in lines
        if line.startswith(("model name", "CPU implementer", "CPU part"))
    }
    return ", ".join(sorted(told)) or platform.processor() or platform.machine()


def machine_facts(gpu: bool = False) -> list[str | int | None]:
    """Return what makes one machine as fast as another: its system, its processor and how many it
    has, and if asked for, its GPU."""
    name = gpu_name(os.environ) if gpu else None
    return [platform.system(), platform.machine(), cpu_name(), os.cpu_count(), name]


def cpu_flags(described: Path = CPU_INFO) -> frozenset[str]:
    """Return what the processor says that it can, in Linux's words; nothing on other systems."""
    try:
        lines = described.read_text().splitlines()
    except OSError:
        return frozenset()
    told = (line.partition(":")[2] for line in lines if line.startswith(("flags", "Features")))
    return frozenset(next(told, "").split())
