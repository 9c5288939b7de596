"""The parts of a latency in `anysr bench share`."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.load import Sample
from benchmarks.share import SETTLING_S, Fared, Times

SAMPLE = Sample(
    at_ms=1e3 * SETTLING_S,
    budget_ms=900.0,
    latency_ms=500.0,
    sent_late_ms=5.0,
    status=200,
    queue_ms=100.0,
    run_ms=300.0,
    yielded_ms=40.0,
)


def test_parts_of_a_latency_are_its_whole() -> None:
    times = Times.of([SAMPLE])
    assert times == Times(500.0, 5.0, 100.0, 40.0, 300.0, 55.0)


def test_refused_request_counts_as_answered_without_a_run() -> None:
    refused = replace(
        SAMPLE, status=429, latency_ms=8.0, queue_ms=None, run_ms=None, yielded_ms=None
    )
    times = Times.of([refused])
    assert (times.latency_ms, times.run_ms, times.rest_ms) == (8.0, 0.0, 3.0)


def test_first_requests_do_not_count() -> None:
    early = replace(SAMPLE, at_ms=SAMPLE.at_ms - 1, latency_ms=9e3)
    fared = Fared.of([early, SAMPLE])
    assert fared.summary.requests == 1
    assert fared.times.latency_ms == pytest.approx(500.0)
