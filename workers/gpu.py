"""The GPU that networks run on, read by NVML."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Mapping
from typing import Any

from jobs.heartbeat import GpuState

log = logging.getLogger("anysr.workers.gpu")


class Gpu:
    """One GPU, read by NVML. Created by `find_gpu`."""

    def __init__(self, nvml: Any, handle: Any) -> None:
        self._nvml = nvml
        self._handle = handle

    @property
    def name(self) -> str | None:
        """The product name; None if unknown."""
        try:
            return str(self._nvml.nvmlDeviceGetName(self._handle))
        except self._nvml.NVMLError:
            return None

    def state(self) -> GpuState | None:
        """Return the state; None while it cannot be read."""
        try:
            memory = self._nvml.nvmlDeviceGetMemoryInfo(self._handle)
        except self._nvml.NVMLError:
            return None
        return GpuState(self._load(), int(memory.used), int(memory.total))

    def _load(self) -> float | None:
        try:
            percent = self._nvml.nvmlDeviceGetUtilizationRates(self._handle).gpu
        except self._nvml.NVMLError:  # a MIG slice reports its memory, but no load
            return None
        return float(min(max(percent / 100, 0.0), 1.0))


def find_gpu(environment: Mapping[str, str]) -> Gpu | None:
    """Return the GPU that networks would run on: the first that is visible to CUDA.

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
        log.debug("no GPU can be read: %s", error)
        return None


def gpu_name(environment: Mapping[str, str]) -> str | None:
    """Return the product name of that GPU; None if there is none or it is unknown."""
    gpu = find_gpu(environment)
    return gpu.name if gpu is not None else None


def free_gpu_bytes() -> int | None:
    """Return the free memory of that GPU at this moment; None if there is none or it is unknown."""
    gpu = _own_gpu()
    state = gpu.state() if gpu is not None else None
    return None if state is None else state.memory_total_bytes - state.memory_used_bytes


@functools.cache
def _own_gpu() -> Gpu | None:
    return find_gpu(os.environ)
