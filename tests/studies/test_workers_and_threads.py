"""The study of workers and threads starts each division and measures it. No time is asserted."""

from __future__ import annotations

import pytest

from studies.workers_and_threads import arguments_of, division_of, measure
from workers.machine import available_cores


@pytest.mark.usefixtures("cached_costs")
def test_each_size_is_measured_at_each_number_of_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANYSR_RUNTIME", "onnx")
    monkeypatch.setattr("studies.workers_and_threads.WARMING_S", 0.1)
    division = (1, available_cores())  # whose costs are cached
    rows = list(measure(division, sides=[24], callers=[1, 2], seconds=0.3))
    assert [(side, callers) for side, callers, _ in rows] == [(24, 1), (24, 2)]
    assert all(figures.pictures_per_s > 0 for _, _, figures in rows)


def test_a_division_is_written_as_workers_times_threads() -> None:
    assert arguments_of(["--divisions", "1x2", "4x4"]).divisions == [(1, 2), (4, 4)]
    for text in ("2", "0x1", "ax1", "1x2x3"):
        with pytest.raises(ValueError, match=r".*"):
            division_of(text)
