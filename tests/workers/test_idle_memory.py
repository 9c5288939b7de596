"""An idle worker releases most of the memory of its runs."""

from __future__ import annotations

import asyncio
import ctypes
import math
import multiprocessing
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from models.catalog import SHIPPED, Precision
from scheduling.rungs import Rung
from scheduling.stages import stage_of
from scheduling.tiling import tiling_of
from scheduling.work import Work
from tests.support.waiting import eventually
from tests.workers.test_runtimes import noise, run
from tests.workers.workbench import costs_of, default_entry
from workers import idle_memory
from workers.allocator import configure
from workers.current_models import CurrentModels, LoadedModels
from workers.idle_memory import IDLE_S, IdleMemory, release_memory
from workers.loaded_model import LoadedModel, ModelsByName
from workers.runtimes.onnx import OnnxSession
from workers.runtimes.openvino import OpenVinoSession

MEGABYTE = 1e6


class Keeper:
    """A session that counts its releases."""

    def __init__(self) -> None:
        self.released = 0

    def at(self, width: float) -> Keeper:
        assert width > 0
        return self

    def release(self) -> None:
        self.released += 1


def test_memory_is_released_once_per_idle_period_and_after_measurements(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(idle_memory, "POLL_S", 0.005)
    keeper, idle_s, now_s, looks = Keeper(), 0.0, 0.0, 0
    entry = default_entry()
    served = LoadedModel(entry, keeper, tiling_of(entry))  # type: ignore[arg-type]
    current, turned = (
        CurrentModels(LoadedModels({entry.name: served}, costs_of(1.0))),
        threading.Event(),
    )

    def turn(call: Callable[[], float]) -> float:
        turned.set()
        return call()

    def idle() -> float:
        nonlocal looks
        looks += 1
        return idle_s

    async def looked() -> None:
        """Wait until it looked twice: once it may have begun to before the change."""
        seen = looks
        await eventually(lambda: looks >= seen + 2, "two further polls")

    async def watched() -> None:
        nonlocal idle_s, now_s
        memory = IdleMemory(current, turn, idle, math.inf, lambda: now_s)
        resting = asyncio.create_task(memory.run())
        for expected in (1, 2):
            await looked()
            assert keeper.released == expected - 1, "a worker that is busy needs it"
            idle_s = IDLE_S
            await looked()
            assert keeper.released == expected
            await looked()
            assert keeper.released == expected
            idle_s = 0.0
        await looked()
        idle_s = IDLE_S
        await looked()
        # As of a model that is loaded on demand, or of costs that are measured again.
        assert memory.measuring(lambda: 7.0) == 7.0
        await looked()
        assert keeper.released == 3, "not between two measurements"
        now_s += IDLE_S
        await looked()
        await looked()
        assert keeper.released == 4
        resting.cancel()

    asyncio.run(watched())
    assert turned.is_set(), "between two jobs"


def direct(call: Callable[[], float]) -> float:
    """Run a call as if no job ran."""
    return call()


def test_networks_leave_the_memory_of_a_resting_worker_and_return_with_the_first_job(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(idle_memory, "POLL_S", 0.005)
    entry, idle_s = default_entry(), 0.0
    session = OnnxSession(SHIPPED, entry, threads=1)
    served = LoadedModel(entry, session, tiling_of(entry))
    current = CurrentModels(LoadedModels({entry.name: served}, costs_of(1.0)))
    networks = [session.at(width.width) for width in entry.widths]

    async def watched() -> None:
        nonlocal idle_s
        work = asyncio.create_task(IdleMemory(current, direct, lambda: idle_s, unload_s=20.0).run())
        cheapest, *others = networks
        await eventually(lambda: all(one.loaded for one in others), "all networks")
        cheapest.load()
        idle_s = 20.0
        await eventually(lambda: not any(one.loaded for one in others), "networks unloaded")
        assert cheapest.loaded, "for a picture whose budget leaves no time to load one"
        idle_s = 0.0
        await eventually(lambda: all(one.loaded for one in others), "networks loaded again")
        work.cancel()

    asyncio.run(watched())


def test_a_width_is_chosen_with_the_time_to_load_it() -> None:
    entry = default_entry()
    session = OnnxSession(SHIPPED, entry, threads=1)
    models: ModelsByName = {entry.name: LoadedModel(entry, session, tiling_of(entry))}
    costs = LoadedModels(models, costs_of(1.0)).costs
    network, work = session.at(1.0), Work(2304, 9216, "png")
    stage = stage_of(Rung(entry.name, 1.0))
    network.load()
    loaded_ms = costs.predict_stage(stage, work)
    network.unload()
    assert network.load_ms > 0
    for model in (costs, costs.under(contention=True)):
        assert model.predict_stage(stage, work) == pytest.approx(loaded_ms + network.load_ms)
    costs.observe(stage, work, loaded_ms)
    network.load()
    assert costs.predict_stage(stage, work) == pytest.approx(loaded_ms), "loading is no cost of it"


def test_a_network_loads_again_what_it_was_loaded_from(tmp_path: Path) -> None:
    """The files of a folder may be replaced before the reload that makes workers read them."""
    entry = default_entry()
    for artifact in entry.artifacts:
        shutil.copy(SHIPPED / artifact.file, tmp_path)
    for session in (
        OnnxSession(tmp_path, entry, threads=1),
        OpenVinoSession(tmp_path, entry, Precision.INT8, threads=1),
    ):
        image = noise(1, 3, 12, 16)
        expected = run(session, image, (24, 32), 0.25)
        session.at(0.25).unload()
        for artifact in entry.artifacts:
            (tmp_path / artifact.file).write_bytes(b"replaced")
        assert (run(session, image, (24, 32), 0.25) == expected).all()
        for artifact in entry.artifacts:
            shutil.copy(SHIPPED / artifact.file, tmp_path)


def measure(runtime: str) -> tuple[float, float]:
    """Bytes that runs took, and that were left after a release."""
    configure()
    entry = default_entry()
    session = (
        OnnxSession(SHIPPED, entry, threads=1)
        if runtime == "onnx"
        else OpenVinoSession(SHIPPED, entry, Precision.INT8, threads=1)
    )
    models: ModelsByName = {entry.name: LoadedModel(entry, session, tiling_of(entry))}
    process = psutil.Process()
    resident = []
    for side in (8, 160):
        for width in (entry.widths[0], entry.widths[-1]):
            run(session, noise(1, 3, side, side), (2 * side, 2 * side), width.width)
        resident.append(process.memory_info().rss)
        release_memory(models)
        resident.append(process.memory_info().rss)
    _, before, most, left = resident
    return most - before, left - before


@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
def test_most_memory_of_large_runs_is_released(runtime: str) -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        took, left = pool.apply(measure, (runtime,))
    assert took > 30 * MEGABYTE
    assert left < 0.4 * took


def growth() -> int:
    """Bytes that a session holds at rest after 24 further shapes, beyond those after eight."""
    configure()
    entry = default_entry()
    session = OpenVinoSession(SHIPPED, entry, Precision.INT8, threads=1)
    models: ModelsByName = {entry.name: LoadedModel(entry, session, tiling_of(entry))}
    held = []
    for heights in (range(16, 24), range(24, 48)):
        for height in heights:
            run(session, noise(1, 3, height, 16), (2 * height, 32), 1.0)
        release_memory(models)
        held.append(allocated())
    return held[1] - held[0]


def allocated() -> int:
    """Bytes that the process has of malloc, by mallinfo2(3)."""
    names = ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks")
    fields = [(name, ctypes.c_size_t) for name in (*names, "fordblks", "keepcost")]
    kind = type("Mallinfo2", (ctypes.Structure,), {"_fields_": fields})
    mallinfo2 = ctypes.CDLL(None).mallinfo2
    mallinfo2.restype = kind
    seen = mallinfo2()
    return int(seen.uordblks + seen.hblkhd)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it is glibc that counts")
def test_what_a_resting_worker_holds_does_not_rise_with_the_shapes_it_has_seen() -> None:
    """Each shape prepares 0.6 MB: 24 of them would be 14 MB."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(growth) < 5 * MEGABYTE


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it is glibc that has heaps")
def test_threads_share_one_heap() -> None:
    """Each further heap would reserve 64 MB."""
    program = """
import threading
from pathlib import Path
from workers.allocator import configure
configure()
blocks, go = [], threading.Barrier(9)
def hold():
    blocks.append([bytes(1000) for _ in range(2000)])
    go.wait()
    go.wait()
threads = [threading.Thread(target=hold) for _ in range(8)]
for thread in threads: thread.start()
go.wait()
reserved = 0
for line in Path('/proc/self/maps').read_text().splitlines():
    place, access, *_ , last = line.split()
    start, end = (int(part, 16) for part in place.split('-'))
    if access == '---p' and last == '0' and end - start > 60 << 20: reserved += 1
go.wait()
print(reserved)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "0", done.stderr
