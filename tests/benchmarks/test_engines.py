"""The comparisons of engines: all that can run here with ONNX Runtime, and ours with AnySR."""

from __future__ import annotations

import pytest

from benchmarks.engines import backends_of, load, peaks, time_engines
from benchmarks.reference import compare
from models.catalog import SHIPPED, Precision
from tests.workers.workbench import default_entry, whole
from workers.backends import OPENVINO_FLOAT32, REFERENCE


def test_every_backend_is_timed_at_every_scale_against_onnx_runtime() -> None:
    entry = default_entry()
    backends = backends_of(entry, threads=1)
    assert backends[0] == REFERENCE
    assert OPENVINO_FLOAT32 in backends
    rows = list(time_engines(SHIPPED, entry, [2.0, 2.5], side=16, threads=1, repeats=2))
    assert [(row.backend, row.scale) for row in rows] == [
        (backend, scale) for scale in (2.0, 2.5) for backend in backends
    ]
    for row in rows:
        assert row.ms_per_megapixel > 0
        assert row.gflops > 0
        assert (row.of_plain == 1) == (row.backend == REFERENCE)
        lossless = row.backend.precision is Precision.FLOAT32
        assert (row.db > 100) == lossless
    assert backends_of(whole(entry), threads=1) == [REFERENCE]


def test_the_peak_is_measured_in_each_precision() -> None:
    found = peaks([Precision.FLOAT32, Precision.INT8], threads=1, repeats=1)
    assert set(found) == {Precision.FLOAT32, Precision.INT8}
    assert all(1 < gflops < 100_000 for gflops in found.values())


def test_loading_is_measured_in_a_process_of_its_own() -> None:
    loaded = load(SHIPPED, default_entry().name, REFERENCE, threads=1)
    assert loaded.seconds > 0
    assert 1 < loaded.mebibytes < 2000


def test_the_reference_is_compared_with_ours() -> None:
    rows = list(compare(SHIPPED, [default_entry()], [2.0], side=16, threads=1, repeats=1))
    assert [row.name.split(",")[0] for row in rows] == [
        "AnySR as released",
        "AnySR as released",
        default_entry().name,
    ]
    assert rows[0].times_as_fast == pytest.approx(1)
    assert all(row.ms > 0 and row.times_as_fast > 0 for row in rows)
