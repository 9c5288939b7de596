"""Workloads have their nominal rate and burstiness, and are drawn from a seed."""

from __future__ import annotations

import numpy as np
import pytest

from scheduling.simulation.workload import ARRIVALS, MIXED, Kind, draw, read_trace

COUNT = 40_000


def gaps(name: str, rate: float = 10.0) -> np.ndarray:
    return np.diff(draw(COUNT, rate, ARRIVALS[name], seed=3).arrival_ms)


@pytest.mark.parametrize("name", ARRIVALS)
def test_arrivals_rise_at_the_mean_rate(name: str) -> None:
    between = gaps(name)
    assert between.min() >= 0
    assert 1e3 / between.mean() == pytest.approx(10.0, rel=0.15)


@pytest.mark.parametrize(("name", "cv"), [("poisson", 1), ("gamma2", 2), ("gamma4", 4)])
def test_gaps_have_the_named_coefficient_of_variation(name: str, cv: float) -> None:
    between = gaps(name)
    assert between.std() / between.mean() == pytest.approx(cv, rel=0.1)


def test_on_off_is_silent_most_of_the_time() -> None:
    phase = draw(COUNT, 10.0, ARRIVALS["on-off"]).arrival_ms % 10_000
    assert phase.max() <= 2000
    assert phase.mean() == pytest.approx(1000, rel=0.05)


def test_on_off_is_a_poisson_process_while_it_is_on() -> None:
    arrival = draw(COUNT, 10.0, ARRIVALS["on-off"], seed=3).arrival_ms
    together = np.diff(arrival)[np.diff(arrival // 10_000) == 0]
    assert together.mean() == pytest.approx(1e3 * 0.2 / 10.0, rel=0.05)
    assert together.std() / together.mean() == pytest.approx(1, rel=0.05)


def test_a_day_has_a_quiet_night_and_spikes() -> None:
    arrival_s = draw(COUNT, 20.0, ARRIVALS["day"]).arrival_ms / 1e3
    per_second = np.histogram(arrival_s, np.arange(0, 600))[0]
    assert per_second[:20].mean() < 0.5 * 20
    assert per_second.max() > 2.5 * 20


def test_the_same_seed_draws_the_same_and_another_does_not() -> None:
    one, same, other = (draw(100, 1.0, seed=s) for s in (1, 1, 2))
    assert np.array_equal(one.arrival_ms, same.arrival_ms)
    assert np.array_equal(one.budget_ms, same.budget_ms)
    assert np.array_equal(one.kind, same.kind)
    assert not np.array_equal(one.arrival_ms, other.arrival_ms)


def test_budgets_and_kinds_have_the_requested_distribution() -> None:
    workload = draw(COUNT, 1.0, budgets_ms=(300, 3000))
    assert 300 <= workload.budget_ms.min() < 310
    assert 2950 < workload.budget_ms.max() <= 3000
    assert np.median(workload.budget_ms) == pytest.approx(np.sqrt(300 * 3000), rel=0.05)
    shares = np.bincount(workload.kind) / COUNT
    assert shares == pytest.approx([share for _, share in MIXED], abs=0.02)


def test_columns_absent_from_a_trace_are_drawn(tmp_path) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text(
        "arrival_ms,width,height,scale,budget_ms\n900,64,48,2.5,700\n1000,,,,\n500,64,48,2.5,800\n"
    )
    workload = read_trace(trace)
    assert workload.arrival_ms.tolist() == [0, 400, 500]
    assert workload.budget_ms[:2].tolist() == [800, 700]
    assert [workload.kinds[k] for k in workload.kind[:2]] == [Kind(64, 48, 2.5)] * 2
    assert workload.kinds[workload.kind[2]] in [kind for kind, _ in MIXED]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "header"),
        ("arrival_ms\n", "at least one row"),
        ("time\n1\n", "header"),
        ("arrival_ms\nsoon\n", "line 2"),
        ("arrival_ms,budget_ms\n1,5\n2,nan\n", "line 3: budget_ms"),
        ("arrival_ms,budget_ms\n,5\n", "line 2: arrival_ms is missing"),
        ("arrival_ms,scale\n1,0.5\n", "line 2: scale"),
        ("arrival_ms,width\n1,0\n", "line 2: width"),
    ],
)
def test_a_malformed_trace_is_an_error_that_names_the_line(
    tmp_path, text: str, message: str
) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_trace(trace)
