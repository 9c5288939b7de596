"""The benchmark of models measures every scale and width. No time is asserted."""

import numpy as np
import pytest

from benchmarks.model import _feed, _trunk_session, time_model
from models.catalog import SHIPPED, read_catalog
from tests.support.service import server_timing


def test_the_trunk_is_the_features_before_the_head():
    entry = read_catalog().get("anysr-s")
    trunk = _trunk_session(SHIPPED / entry.widths[-1].onnx.file, 1)
    feed = _feed(16, 2.0)
    assert trunk is not None
    (features,) = trunk.run(None, {i.name: feed[i.name] for i in trunk.get_inputs()})
    assert features.shape == (1, entry.network.args["channels"], 16, 16)
    assert np.isfinite(features).all()


def test_every_scale_and_width_is_timed():
    entry = read_catalog().get("anysr-s")
    timings = time_model(SHIPPED, entry, [1.5, 2.0], side=24, threads=1, repeats=2)
    assert [t.scale for t in timings] == [1.5, 2.0]
    for timing in timings:
        assert timing.widest_ms > 0
        assert timing.over_trunk is not None
        assert timing.over_trunk > 0
        assert set(timing.over_widest) == {w.width for w in entry.widths[:-1]}


def test_a_network_without_a_tensor_product_head_is_timed_at_its_scales():
    entry = read_catalog().get("gidrn-x2")
    (timing,) = time_model(SHIPPED, entry, [2.0, 3.0], side=16, threads=1, repeats=1)
    assert (timing.scale, timing.over_trunk, timing.over_widest) == (2.0, None, {})


def test_server_timing_is_read():
    header = "upload;dur=1.5, queue;dur=0.2, total;dur=12"
    assert server_timing(header) == pytest.approx({"upload": 1.5, "queue": 0.2, "total": 12})
