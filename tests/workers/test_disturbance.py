"""Disturbed measurements are recognised, and undisturbed ones are not marked."""

from __future__ import annotations

import psutil
import pytest

from tests.workers.workbench import Cores
from workers.disturbance import (
    ALL_CORES,
    MAX_SPREAD,
    MAX_TAKEN,
    MIN_SHARE,
    Meter,
    Needs,
    Reading,
    read_usage,
    used,
)
from workers.machine_load import CpuTimes

GPU = Needs(0)


def described(
    needs: Needs, own: float = 1.0, others: float = 0.0, stolen: float = 0.0
) -> str | None:
    """The disturbance of ten seconds on two cores, by their use in cores."""
    cores = Cores(own=own, others=others, stolen=stolen)
    before = cores.read()
    cores.pass_s(10)
    return needs.disturbance(used(before, cores.read()))


def test_a_machine_without_other_load_is_quiet() -> None:
    for own in (MIN_SHARE, 1.0, 2.0):
        assert described(ALL_CORES, own) is None


def test_the_load_of_a_gateway_is_no_disturbance() -> None:
    assert described(ALL_CORES, others=MAX_TAKEN) is None


def test_a_busy_core_disturbs_a_measurement_that_needs_all() -> None:
    words = described(ALL_CORES, others=1.0)
    assert words is not None
    assert "others took 1.0 of 2 cores" in words
    assert described(Needs(2), others=1.0) == described(Needs(8), others=1.0) == words


def test_a_busy_core_does_not_disturb_a_measurement_on_the_other() -> None:
    """So workers of one pool, which divide the cores, may measure at the same time."""
    assert described(Needs(1), others=1.0) is None
    assert described(Needs(1), others=1.5) is not None
    assert described(GPU, own=0.1, others=1.0) is None


def test_stolen_time_disturbs_every_measurement() -> None:
    words = described(Needs(1), stolen=0.5)
    assert words is not None
    assert "the hypervisor 0.5" in words


def test_a_small_share_of_a_core_is_a_disturbance() -> None:
    """In a container the counters do not show the rest."""
    words = described(Needs(1), own=0.4)
    assert words is not None
    assert "got 40 % of a core" in words
    assert described(GPU, own=0.1) is None  # the processor waits for it


def test_times_that_differ_from_round_to_round_are_a_disturbance() -> None:
    far = (1.0, MAX_SPREAD + 0.1, 3.0)
    near = (1.0, MAX_SPREAD - 0.1, 3.0)
    quiet = used(Cores().read(), Cores().read())
    assert ALL_CORES.disturbance(quiet, [far, far, near]) is not None
    assert ALL_CORES.disturbance(quiet, [far, near, near]) is None
    assert ALL_CORES.disturbance(quiet, [(1.0,), (1.0, 9.0)]) is None  # too few to say


def test_a_system_without_counters_is_judged_by_the_other_signs() -> None:
    before, after = (Reading(t, t, CpuTimes(0.0, 0.0, 0.0)) for t in (1.0, 2.0))
    assert ALL_CORES.disturbance(used(before, after)) is None


def test_a_meter_counts_only_during_its_calls() -> None:
    cores = Cores(own=1.0, others=1.0)
    meter = Meter(cores.read)

    def call() -> float:
        cores.pass_s(3)
        return 7.0

    assert meter.during(call) == 7.0
    cores.pass_s(100)
    meter.during(call)
    assert meter.usage == pytest.approx((6.0, 6.0, 6.0, 0.0, 12.0))


def test_this_machine_can_be_read() -> None:
    before = read_usage()
    sum(range(10**6))
    after = read_usage()
    assert after.wall > before.wall
    assert after.own > before.own
    assert after.cores.total >= before.cores.total > 0


def test_a_machine_whose_counters_cannot_be_read_is_no_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unreadable() -> CpuTimes:
        raise psutil.AccessDenied

    monkeypatch.setattr("workers.disturbance.available_times", unreadable)
    assert read_usage().cores == CpuTimes(0.0, 0.0, 0.0)
