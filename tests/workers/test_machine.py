"""Sampling of the machine in the background; missing values are unknown, and no error."""

from __future__ import annotations

import sys
import threading
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from jobs.heartbeat import GpuState
from models.catalog import SHIPPED
from tests.workers.workbench import default_entry
from workers import gpu
from workers.gpu import find_gpu, gpu_name
from workers.machine import (
    VALID_PERIODS,
    Machine,
    MachineWatch,
    available_times,
    container_memory,
    cpu_name,
    cpu_times,
)
from workers.machine_load import CpuTimes, Sample
from workers.runtimes.onnx import CPU_PROVIDERS, CUDA_PROVIDERS, OnnxSession

Linux = namedtuple("Linux", "user nice system idle iowait irq softirq steal guest guest_nice")
Mac = namedtuple("Mac", "user nice system idle")


class Scripted:
    """Samples of a machine that is busy half of the time, at times set by the test."""

    def __init__(self) -> None:
        self.now = 0.0
        self.error: Exception | None = None

    def take(self) -> Sample:
        if self.error is not None:
            raise self.error
        return Sample(CpuTimes(2 * self.now, self.now, 0.0), 1, 2)

    def watch(self) -> MachineWatch:
        return MachineWatch(self.take, every_s=1.0, clock=lambda: self.now)


def test_the_time_of_virtual_machines_is_counted_once() -> None:
    counters = Linux(30.0, 5.0, 10.0, 40.0, 5.0, 1.0, 2.0, 7.0, guest=20.0, guest_nice=5.0)
    assert cpu_times(counters) == CpuTimes(total=100.0, busy=48.0, steal=7.0)


def test_systems_with_fewer_counters_are_read() -> None:
    assert cpu_times(Mac(30.0, 5.0, 10.0, 55.0)) == CpuTimes(100.0, 45.0, 0.0)


def test_this_machine_can_be_sampled() -> None:
    found = Machine(lambda: None).sample()
    assert 0 < found.cpu.busy <= found.cpu.total
    assert 0 < found.memory_available_bytes <= found.memory_total_bytes
    assert found.gpu is None


def test_a_container_has_the_memory_that_its_limit_leaves(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("700\n")
    (tmp_path / "memory.stat").write_text("anon 500\ninactive_file 150\n")
    assert container_memory(tmp_path) == (450, 1000)
    (tmp_path / "memory.current").write_text("1300\n")
    assert container_memory(tmp_path) == (0, 1000)


@pytest.mark.parametrize("limit", ["max\n", ""])
def test_a_container_without_a_limit_has_the_memory_of_its_machine(
    tmp_path: Path, limit: str
) -> None:
    (tmp_path / "memory.max").write_text(limit)
    assert container_memory(tmp_path) is None
    assert container_memory(tmp_path / "none") is None


def test_the_cores_that_this_process_may_use_are_counted_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cores = [Mac(1.0, 0.0, 0.0, 9.0), Mac(2.0, 0.0, 0.0, 8.0), Mac(4.0, 0.0, 0.0, 6.0)]
    monkeypatch.setattr("workers.machine.psutil.cpu_times", lambda percpu: cores)
    monkeypatch.setattr("workers.machine.os.sched_getaffinity", lambda _: {0, 2}, raising=False)
    assert available_times() == CpuTimes(20.0, 5.0, 0.0)
    cores.clear()
    assert available_times() == CpuTimes(0.0, 0.0, 0.0)


def test_the_state_is_known_from_the_second_sample_on() -> None:
    machine = Scripted()
    watch = machine.watch()
    watch.update()
    assert watch.state is None
    machine.now = 1.0
    watch.update()
    assert watch.state is not None
    assert watch.state.cpu_load == 0.5


def test_an_old_state_is_unknown() -> None:
    machine = Scripted()
    watch = machine.watch()
    for machine.now in (0.0, 1.0):
        watch.update()
    machine.now = 1.0 + VALID_PERIODS
    assert watch.state is not None
    machine.now += 0.01
    assert watch.state is None


def test_a_failing_sample_is_logged_once_and_repeated(
    caplog: pytest.LogCaptureFixture,
) -> None:
    machine = Scripted()
    watch = machine.watch()
    for machine.now in (0.0, 1.0):
        watch.update()
    machine.error = OSError("no counters")
    for machine.now in (2.0, 3.0, 9.0):
        watch.update()
    assert watch.state is None
    assert caplog.text.count("no counters") == 1
    machine.error, machine.now = None, 10.0
    watch.update()
    assert watch.state is not None
    machine.error = OSError("again no counters")
    watch.update()
    assert "again no counters" in caplog.text


def test_sampling_continues_in_the_background() -> None:
    machine, looks, enough = Scripted(), 0, threading.Event()

    def take() -> Sample:
        nonlocal looks
        looks += 1
        machine.now += 1.0
        if looks == 3:
            enough.set()
        return machine.take()

    with MachineWatch(take, every_s=0.001):
        assert enough.wait(20)


def test_a_hanging_driver_does_not_block() -> None:
    entered, hanging = threading.Event(), threading.Event()

    def take() -> Sample:
        entered.set()
        hanging.wait(20)
        raise OSError

    with MachineWatch(take, every_s=1.0) as watch:
        assert entered.wait(20)
        assert watch.state is None
    assert not hanging.is_set()
    hanging.set()


class NvmlError(Exception):
    pass


def nvml(*broken: str) -> SimpleNamespace:
    """A driver with two GPUs, the second of which has the id GPU-b."""

    def refuse(*_: object) -> Any:
        raise NvmlError("not supported")

    parts: dict[str, Any] = {
        "NVMLError": NvmlError,
        "nvmlInit": lambda: None,
        "nvmlDeviceGetHandleByIndex": lambda index: "ab"[index],
        "nvmlDeviceGetHandleByUUID": lambda name: {"GPU-b": "b"}.get(name) or refuse(),
        "nvmlDeviceGetName": lambda handle: f"card {handle}",
        "nvmlDeviceGetMemoryInfo": lambda handle: SimpleNamespace(used=3, total=8),
        "nvmlDeviceGetUtilizationRates": lambda handle: SimpleNamespace(gpu=25),
    }
    return SimpleNamespace(**parts | dict.fromkeys(broken, refuse))


@pytest.mark.parametrize(
    ("visible", "name"),
    [
        ({}, "card a"),
        ({"CUDA_VISIBLE_DEVICES": "1,0"}, "card b"),
        ({"CUDA_VISIBLE_DEVICES": "GPU-b"}, "card b"),
        ({"CUDA_VISIBLE_DEVICES": "GPU-none"}, None),
        ({"CUDA_VISIBLE_DEVICES": "-1"}, None),
        ({"CUDA_VISIBLE_DEVICES": ""}, None),
    ],
)
def test_the_gpu_is_the_first_that_is_visible_to_cuda(
    monkeypatch: pytest.MonkeyPatch, visible: dict[str, str], name: str | None
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", nvml())
    assert gpu_name(visible) == name


def test_a_gpu_is_part_of_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", nvml())
    assert Machine(lambda: find_gpu({})).sample().gpu == GpuState(0.25, 3, 8)


@pytest.mark.parametrize(
    ("broken", "seen"),
    [
        ("nvmlDeviceGetUtilizationRates", GpuState(None, 3, 8)),
        ("nvmlDeviceGetMemoryInfo", None),
        ("nvmlInit", None),
    ],
)
def test_values_that_a_gpu_does_not_report_are_unknown(
    monkeypatch: pytest.MonkeyPatch, broken: str, seen: GpuState | None
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", nvml(broken))
    assert Machine(lambda: find_gpu({})).sample().gpu == seen


def test_a_network_on_a_gpu_has_what_is_free_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", nvml())
    gpu._own_gpu.cache_clear()
    entry = default_entry()
    on_gpu, on_cpu = (
        OnnxSession(SHIPPED, entry, providers=providers).at(entry.widths[0].width).free_bytes()
        for providers in (CUDA_PROVIDERS, CPU_PROVIDERS)
    )
    gpu._own_gpu.cache_clear()
    assert (on_gpu, on_cpu) == (8 - 3, None)


def test_without_the_library_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert find_gpu({}) is None


@pytest.mark.parametrize(
    ("lines", "name"),
    [
        ("processor: 0\nmodel name\t: Core 9\nprocessor: 1\nmodel name\t: Core 9\n", "Core 9"),
        ("CPU implementer\t: 0x41\nCPU part\t: 0xd0c\nflags: x\n", "0x41, 0xd0c"),
    ],
)
def test_the_name_of_a_processor_is_its_model(tmp_path: Path, lines: str, name: str) -> None:
    (tmp_path / "cpuinfo").write_text(lines)
    assert cpu_name(tmp_path / "cpuinfo") == name


def test_a_processor_has_a_name_on_every_system(tmp_path: Path) -> None:
    assert cpu_name(tmp_path / "none")
