"""Throughput: FLOP as counted by hand, time without pauses, and a plausible peak."""

import functools
import time

import pytest
import torch
from torch.nn.functional import conv2d

from models.architectures.conditioned import Conditioned
from models.training.forward import upscale
from models.training.throughput import Meter, Step, count_flops, measured_peak


def test_a_convolution_costs_what_its_formula_says():
    image = torch.empty(2, 3, 10, 12, device="meta")
    weight = torch.empty(5, 3, 3, 3, device="meta", requires_grad=True)
    forward, backward = count_flops(lambda: conv2d(image, weight, padding=1))
    products = 2 * 5 * 3 * 3 * 3 * 10 * 12
    assert forward == 2 * products
    assert backward == 2 * products  # of the weights only: the image needs no gradient


def test_a_narrow_width_costs_less_in_the_blocks_alone():
    network = Conditioned(channels=16, blocks=2, basis=3, widths=[8, 16]).to("meta")
    image = torch.empty(1, 3, 16, 16, device="meta")
    runs = [functools.partial(upscale, network, image, (32, 32), c) for c in (8, 16)]
    (half, _), (full, both) = map(count_flops, runs)
    block = 4 * 2 * 16 * 16 * 9 * 16 * 16  # four convolutions, two FLOP a multiply-add
    # Half the width halves the outer two convolutions and quarters the inner two.
    assert full - half == pytest.approx(2 * block * (1 - 0.375), rel=0.01)
    assert both == pytest.approx(2 * full, rel=0.1)


def test_the_meter_returns_means_and_resets():
    meter = Meter(peak=1e12)
    for loss in (1.0, 2.0):
        meter.add(Step(torch.tensor(loss), images=8, flops=1e9))
    time.sleep(0.02)
    facts = meter.read()
    assert facts["loss"] == 1.5
    assert facts["images_per_s"] == pytest.approx(8 * facts["steps_per_s"])
    assert facts["tflop_per_s"] == pytest.approx(facts["steps_per_s"] * 1e-3)
    assert facts["of_peak"] == pytest.approx(facts["tflop_per_s"])
    meter.add(Step(torch.tensor(5.0), images=1, flops=0.0))
    assert meter.read()["loss"] == 5.0


def test_a_pause_does_not_count(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    meter = Meter(peak=1.0)
    with meter.paused():
        now[0] += 60
    now[0] += 2
    meter.add(Step(torch.tensor(0.0), images=4, flops=0.0))
    assert meter.read()["images_per_s"] == 2


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_peak_is_measured_in_a_plausible_range(dtype):
    assert 1e8 < measured_peak(torch.device("cpu"), dtype) < 1e15
