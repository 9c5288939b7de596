"""Disturbed costs are remeasured automatically, without delaying jobs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from models.catalog import SHIPPED
from scheduling.cost_line import Line
from scheduling.cost_model import CostModel
from tests.support.waiting import PATIENCE_S, eventually
from tests.workers.workbench import Cores, Gated, costs_of, models_of
from workers import remeasuring
from workers.calibration_cache import costs_name, facts_of, read_lines, stages_of
from workers.current_models import CurrentModels, LoadedModels
from workers.disturbance import ALL_CORES, Needs, Reading
from workers.loaded_model import ModelsByName
from workers.model_loader import ModelLoader
from workers.remeasuring import IDLE_S, Lull, Remeasurer
from workers.settings import WorkerSettings

SETTINGS = WorkerSettings(worker_threads=2)
POLL_S = 0.01
OLD = Line(1000.0, 1.0, 1.0, disturbed=True)


class Moment:
    """The state of a worker and its machine, set by the test; a second passes at each reading."""

    def __init__(self) -> None:
        self.cores = Cores(own=0.0)
        self.idle_s = 10.0
        self.turns = 0
        self.between: Callable[[], None] = lambda: None
        """Called at the end of each turn."""
        self.ended_turns = 0
        """Turns whose `between` has returned."""

    def read(self) -> Reading:
        self.cores.pass_s(1.0)
        return self.cores.read()

    def turn(self, call: Callable[[], float]) -> float:
        self.turns += 1
        answer = call()
        self.between()
        self.ended_turns += 1
        return answer


@pytest.fixture(autouse=True)
def untimed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remeasuring, "POLL_S", POLL_S)
    monkeypatch.setattr(remeasuring, "FIRST_PAUSE_S", 0.01)


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """The disturbance of each measurement in turn, and then always the last one."""
    left: list[str | None] = [None]
    monkeypatch.setattr(Needs, "disturbance", lambda *_: left.pop(0) if len(left) > 1 else left[0])
    return left


@pytest.fixture
def moment() -> Moment:
    return Moment()


@pytest.fixture
def models() -> ModelsByName:
    session = Gated()
    session.gate.set()
    return models_of(session)


@pytest.fixture
def current(models: ModelsByName) -> CurrentModels:
    """Models after a start on a busy machine and a few jobs."""
    lines = {k: OLD if k.startswith("network") else Line(1, 1, 1) for k in stages_of(models)}
    return CurrentModels(
        LoadedModels(models, CostModel(lines, {"network": 0.4, "decode": 1.1}, margin=2.0))
    )


@contextlib.asynccontextmanager
async def measuring(
    current: CurrentModels, moment: Moment, folder: Path
) -> AsyncIterator[asyncio.Task[None]]:
    loader = ModelLoader(SHIPPED, SETTINGS, folder)
    again = Remeasurer(loader, current, moment.turn, lambda: moment.idle_s, moment.read)
    task = asyncio.create_task(again.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def undisturbed(costs: CostModel) -> None:
    await eventually(lambda: not costs.disturbed, "costs of a quiet machine")


async def ended(moment: Moment, turns: int) -> None:
    await eventually(lambda: moment.ended_turns == turns, f"the end of turn {turns}")


async def some_polls() -> None:
    """Pause for as long as shows that nothing is measured."""
    await asyncio.sleep(20 * POLL_S)


@pytest.mark.usefixtures("found")
async def test_costs_are_remeasured_once_the_machine_is_quiet_and_cached(
    current: CurrentModels, moment: Moment, tmp_path: Path
) -> None:
    costs, models = current.loaded.costs, current.loaded.models
    moment.cores.others = 1.0
    async with measuring(current, moment, tmp_path):
        await some_polls()
        assert moment.turns == 0
        moment.cores.others = 0.0
        await undisturbed(costs)
        turns = moment.turns
        await some_polls()
    assert moment.turns == turns  # once is enough
    assert costs.slowdown == {"decode": 1.1}  # other stages keep what they learnt
    assert costs.margin == CostModel().margin
    assert all(line.fixed < OLD.fixed for line in costs.lines.values())
    facts = facts_of(models, SETTINGS)
    assert read_lines(tmp_path / costs_name(facts), facts, set(stages_of(models))) == costs.lines


@pytest.mark.usefixtures("found")
async def test_costs_of_a_quiet_machine_are_left_alone(
    models: ModelsByName, moment: Moment, tmp_path: Path
) -> None:
    async with measuring(CurrentModels(LoadedModels(models, costs_of(10.0))), moment, tmp_path):
        await some_polls()
    assert moment.turns == 0


@pytest.mark.usefixtures("found")
async def test_a_job_waits_for_one_short_measurement_at_most(
    current: CurrentModels, moment: Moment, tmp_path: Path
) -> None:
    def a_job_comes() -> None:
        if moment.turns == 3:
            moment.idle_s = 0.0

    moment.between = a_job_comes
    async with measuring(current, moment, tmp_path):
        await ended(moment, 3)
        for since in (0.0, 0.9 * IDLE_S):  # and not at once when it has ended
            moment.idle_s = since
            await some_polls()
            assert moment.turns == 3
        moment.idle_s = IDLE_S
        await undisturbed(current.loaded.costs)


@pytest.mark.usefixtures("found")
async def test_remeasuring_pauses_during_a_disturbance(
    current: CurrentModels, moment: Moment, tmp_path: Path
) -> None:
    def others_come() -> None:
        if moment.turns == 3:
            moment.cores.others = 1.0

    moment.between = others_come
    async with measuring(current, moment, tmp_path):
        await ended(moment, 3)
        await some_polls()
        assert moment.turns == 3
        moment.cores.others = 0.0
        await undisturbed(current.loaded.costs)


async def test_costs_that_were_disturbed_again_are_discarded(
    current: CurrentModels, moment: Moment, tmp_path: Path, found: list[str | None]
) -> None:
    found[:] = ["others took it", "and again", None]
    costs = current.loaded.costs
    before = replace(costs, lines=dict(costs.lines), slowdown=dict(costs.slowdown))
    first: list[CostModel] = []

    def look() -> None:
        if len(found) == 2 and not first:
            first.append(replace(costs, lines=dict(costs.lines), slowdown=dict(costs.slowdown)))

    moment.between = look
    async with measuring(current, moment, tmp_path):
        await undisturbed(costs)
    assert first == [before]


@pytest.mark.usefixtures("found")
async def test_costs_of_removed_models_are_discarded(
    current: CurrentModels, moment: Moment, tmp_path: Path
) -> None:
    old = current.loaded
    new = LoadedModels(old.models, replace(old.costs, lines=dict(old.costs.lines)))

    def exchanged() -> None:
        current.loaded = new

    moment.between = exchanged
    async with measuring(current, moment, tmp_path):
        await undisturbed(new.costs)
    assert old.costs.disturbed


@pytest.mark.usefixtures("found")
async def test_an_error_is_logged_and_remeasuring_continues(
    current: CurrentModels, moment: Moment, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        if moment.turns == 1:
            raise ValueError("a fault")

    moment.between = fail
    async with measuring(current, moment, tmp_path):
        await undisturbed(current.loaded.costs)
    assert "costs cannot be remeasured: a fault" in caplog.text


@pytest.mark.usefixtures("found")
async def test_a_stopping_worker_does_not_wait_for_a_lull(
    current: CurrentModels, moment: Moment, tmp_path: Path
) -> None:
    def a_job_comes() -> None:
        moment.idle_s = 0.0

    moment.between = a_job_comes
    async with measuring(current, moment, tmp_path) as task:
        await ended(moment, 1)
        task.cancel()
    async with asyncio.timeout(PATIENCE_S):
        await asyncio.get_running_loop().shutdown_default_executor()
    assert moment.turns == 1


def test_a_lull_is_an_idle_worker_on_a_machine_that_is_quiet_for_a_second() -> None:
    cores, idle_s = Cores(own=0.0), 10.0
    lull = Lull(ALL_CORES, lambda: idle_s, cores.read)
    assert not lull.now()  # nobody has looked yet
    cores.pass_s(1.0)
    assert lull.now()
    idle_s = 0.0
    assert not lull.now()
    idle_s, cores.others = 10.0, 1.0
    cores.pass_s(1.0)
    assert not lull.now()
    cores.others, cores.own = 0.0, 2.0  # its own use is no disturbance
    cores.pass_s(1.0)
    assert lull.now()
