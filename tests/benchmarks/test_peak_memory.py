"""The benchmark of memory measures every kind of picture. No size is asserted."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.peak_memory import Case, Kind, _job, _write_source, measure_peaks, source_side
from images.decode import decode
from jobs.formats import ImageFormat
from scheduling.rungs import FLOOR, Rung
from tests.workers.model_folder import SMALL, small_folder


@pytest.mark.parametrize("kind", list(Kind))
def test_sources_have_their_kind_and_size(kind: Kind, tmp_path: Path) -> None:
    _write_source(kind, 40, tmp_path / "source")
    payload = (tmp_path / "source").read_bytes()
    raster = decode(payload, 1600).pixels
    assert (raster.height, raster.width) == (40, 40)
    assert raster.has_alpha == (kind in (Kind.ALPHA, Kind.DEEP_ALPHA))
    assert raster.bit_depth == (16 if kind in (Kind.DEEP, Kind.DEEP_ALPHA) else 8)
    assert raster.colours == (1 if kind is Kind.GREY else 3)
    job = _job(Case(kind, ImageFormat.PNG, FLOOR), payload)
    assert (job.output_width, job.output_height) == (80, 80)


def test_the_source_is_a_quarter_of_the_output() -> None:
    assert source_side(100_000_000) == 5000
    assert source_side(1) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the peak")
def test_each_case_has_a_peak(tmp_path: Path) -> None:
    cases = [Case(Kind.GREY, ImageFormat.JPEG, Rung(SMALL, 1.0))]
    [(case, peak)] = measure_peaks(cases, 16, threads=1, folder=small_folder(tmp_path / "models"))
    assert case is cases[0]
    assert peak.peak >= peak.resting > 0
    assert min(peak.source, peak.result, peak.bound, peak.seconds) > 0
