"""Fixtures of the worker tests."""

from __future__ import annotations

import pytest

from tests.workers.workbench import RunClock


@pytest.fixture
def run_clock(monkeypatch: pytest.MonkeyPatch) -> RunClock:
    """The clock by which runs know how much of their budget is left."""
    clock = RunClock()
    monkeypatch.setattr("workers.preemption.time", clock)
    return clock
