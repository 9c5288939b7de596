"""Loads are parts of the time between two samples, whatever the counters do."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.heartbeat import GpuState, MachineState
from workers.machine_load import CpuTimes, Sample, machine_state

GPU = GpuState(0.5, 10, 20)
seconds = st.floats(0, 1e9)
times = st.builds(CpuTimes, seconds, seconds, seconds)


def sample(total: float, busy: float, steal: float = 0.0) -> Sample:
    return Sample(CpuTimes(total, busy, steal), 3 * 2**30, 4 * 2**30)


def test_loads_are_parts_of_the_time_between_samples():
    after = replace(sample(108.0, 53.0, 8.0), memory_available_bytes=7, gpu=GPU)
    state = machine_state(sample(100.0, 50.0, 7.0), after)
    assert state == MachineState(3 / 8, 1 / 8, 7, 4 * 2**30, GPU)


@given(times, times)
def test_loads_stay_between_0_and_1(before, after):
    state = machine_state(Sample(before, 0, 0), Sample(after, 0, 0))
    if after.total <= before.total:
        assert state is None
    else:
        assert state is not None
        assert 0 <= state.cpu_load <= 1
        assert 0 <= state.cpu_steal <= 1


def test_without_time_between_samples_the_state_is_unknown():
    assert machine_state(sample(100.0, 50.0), sample(100.0, 50.0)) is None


def test_with_incomparable_counters_the_state_is_unknown():
    assert machine_state(sample(100.0, 50.0), sample(float("nan"), 50.0)) is None


@pytest.mark.parametrize("part", ["busy", "steal"])
def test_non_finite_loads_do_not_reach_a_heartbeat(part):
    """The heartbeat would be rejected, and the worker with it."""
    after = sample(108.0, 53.0, 8.0)
    broken = replace(after, cpu=after.cpu._replace(**{part: float("nan")}))
    state = machine_state(sample(100.0, 50.0, 7.0), broken)
    assert state is None
