"""Batches of fixed shapes: the same loss and gradients as without padding."""

import dataclasses

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.architectures.network import positions
from models.geometry import axis_grid
from models.spec import NetworkSpec
from models.training.batch import FixedBatch, batch_of, pad_axis
from models.training.config import Config, Sampling, Training
from models.training.queries import draw_queries
from models.training.trainer import Trainer

TINY = Config(
    NetworkSpec("conditioned", {"channels": 8, "blocks": 1, "basis": 3, "widths": [4, 8]}),
    Training(steps=40),
    Sampling(batch=2, patch=12),
)
LONGEST = 48


@given(inputs=st.integers(1, 12), more=st.integers(0, 36), spare=st.integers(0, 2))
def test_a_padded_axis_has_the_same_positions_and_marks_padding(inputs, more, spare):
    outputs = min(inputs + more, 4 * inputs)
    grid = axis_grid(inputs, outputs)
    drawn = torch.from_numpy(grid.offset), torch.from_numpy(grid.index)
    slots, count = drawn[0].shape[1] + spare, outputs + 3 * spare
    offset, index, weight = pad_axis(*drawn, slots, count)
    assert (offset.shape, index.shape, weight.shape) == ((inputs, slots), (count,), (count,))
    for padded, plain in zip(positions(offset, index), positions(*drawn), strict=True):
        assert torch.equal(padded[:outputs], plain)
    assert weight.tolist() == [1.0] * outputs + [0.0] * (count - outputs)
    assert 0 <= int(index.min()) <= int(index.max()) < inputs * slots


def trainer_of(tmp_path, **settings):
    """A trainer whose widths differ, which a fresh network's hardly do."""
    config = dataclasses.replace(TINY, training=dataclasses.replace(TINY.training, **settings))
    trainer = Trainer(config, tmp_path / "run")
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in trainer.network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return trainer


def pictures(size):
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(2, 3, *sides, generator=generator) for sides in ((12, 12), size)]


def gradients(trainer, batch, channels):
    """The loss of a step and its gradients."""
    trainer.optimiser.zero_grad()
    loss = float(trainer._backward(batch, channels))
    return loss, [parameter.grad.clone() for parameter in trainer.network.parameters()]


@pytest.mark.parametrize("size", [(12, 12), (15, 31), (48, 48)])
@pytest.mark.parametrize("count", [0, 20])
def test_padding_changes_neither_loss_nor_gradients(tmp_path, size, count):
    trainer = trainer_of(tmp_path)
    small, target = pictures(size)
    queries = None
    if count:
        queries = draw_queries(size, count, 0, torch.Generator().manual_seed(2))
    drawn = batch_of(trainer.network, small, target, queries, strength=0.4)
    fixed = FixedBatch(drawn, LONGEST, count or LONGEST)
    with torch.no_grad():
        fixed.batch.target.fill_(0.7)  # as an earlier batch may have left it
    padded = fixed.fill(drawn)
    assert padded.target.shape[2:] == (count or LONGEST, count or LONGEST)
    for width in (8, 4):
        expected, actual = (gradients(trainer, batch, width) for batch in (drawn, padded))
        assert actual[0] == pytest.approx(expected[0], abs=1e-6)
        for a, b in zip(actual[1], expected[1], strict=True):
            torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-4)


def test_what_an_earlier_batch_left_in_the_padding_has_no_say(tmp_path):
    trainer = trainer_of(tmp_path)
    small, target = pictures((15, 20))
    drawn = batch_of(trainer.network, small, target)
    fixed = FixedBatch(drawn, LONGEST, LONGEST)
    first = gradients(trainer, fixed.fill(drawn), 8)
    fixed.batch.target[:, :, 15:] = 9.0
    fixed.batch.target[:, :, :, 20:] = -9.0
    second = gradients(trainer, fixed.fill(drawn), 8)
    assert first[0] == second[0]
    assert all(torch.equal(a, b) for a, b in zip(first[1], second[1], strict=True))


def test_every_batch_lies_in_the_same_memory(tmp_path):
    trainer = trainer_of(tmp_path)
    batches = [batch_of(trainer.network, *pictures(size)) for size in ((14, 14), (40, 33))]
    fixed = FixedBatch(batches[0], LONGEST, LONGEST)

    def places(batch):
        tensors = batch.image, batch.target, *batch.grid, *batch.weights
        return [(t.data_ptr(), t.shape, t.stride()) for t in tensors]

    first, second = (places(fixed.fill(batch)) for batch in batches)
    assert first == second
    assert torch.equal(fixed.batch.image, batches[1].image)
    assert fixed.batch.image.is_contiguous(memory_format=torch.channels_last)
