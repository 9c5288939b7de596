"""The pictures that a service makes in a second are counted for every rung, size and scale."""

from __future__ import annotations

import pytest

from benchmarks.capacity import measure
from scheduling.rungs import Rung


@pytest.mark.usefixtures("cached_costs")
def test_every_row_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANYSR_RUNTIME", "onnx")
    reported: list[None] = []
    rung = Rung("anysr-s", 0.5)
    rows = list(measure([rung], [16, 32], [1.5, 3], 0.1, lambda: reported.append(None)))
    assert [(row.rung, row.side, row.scale) for row in rows] == [
        (rung, side, scale) for side in (16, 32) for scale in (1.5, 3)
    ]
    assert len(reported) == 4
    assert all(row.per_core > 0 < row.cpu_ms for row in rows)
