"""State in pieces: each below the limit, and whole wherever writing was interrupted."""

import json
import os
import unittest.mock
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import models.training.training_state
from models.network_file import save_tensors
from models.training.training_state import load_pieces, save_pieces


def state(value, count=20):
    return {f"layer.{i}": torch.full((64, 100), float(value + i)) for i in range(count)}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def test_a_small_state_is_one_piece_and_a_large_one_many_below_the_limit(tmp_path):
    save_pieces(tmp_path, state(0), {"step": 3}, 15)
    assert sorted(f.name for f in tmp_path.iterdir()) == ["state-00000.safetensors", "state.json"]
    assert json.loads((tmp_path / "state.json").read_text())["step"] == 3
    save_pieces(tmp_path, state(1), {}, 0.1)
    files = sorted(tmp_path.glob("*.safetensors"))
    assert len(files) > 4
    assert max(f.stat().st_size for f in files) < 0.1 * 2**20
    assert same(load_pieces(tmp_path), state(1))


def test_a_tensor_above_the_limit_stands_alone(tmp_path):
    tensors = {"small": torch.ones(3), "large": torch.ones(500_000), "last": torch.ones(2)}
    save_pieces(tmp_path, tensors, {}, 1)
    assert len(list(tmp_path.glob("*.safetensors"))) == 3
    assert same(load_pieces(tmp_path), tensors)


@pytest.mark.parametrize("writes", range(5))
def test_cut_off_between_any_two_writes_the_old_state_is_whole(tmp_path, monkeypatch, writes):
    save_pieces(tmp_path, state(0), {}, 0.2)
    done: list[Path] = []

    def cut_off(path, tensors, header):
        if len(done) == writes:
            path.with_suffix(".partial").write_bytes(b"half")
            raise KeyboardInterrupt
        done.append(path)
        save_tensors(path, tensors, header)

    monkeypatch.setattr(models.training.training_state, "save_tensors", cut_off)
    with pytest.raises(KeyboardInterrupt):
        save_pieces(tmp_path, state(50), {}, 0.1)
    assert len(done) == writes
    assert same(load_pieces(tmp_path), state(0))
    monkeypatch.undo()
    save_pieces(tmp_path, state(50), {}, 0.1)
    assert same(load_pieces(tmp_path), state(50))


def interrupted_at_old_pieces(path, missing_ok=False):  # noqa: ARG001 - as of Path.unlink
    if path.suffix == ".safetensors":
        raise KeyboardInterrupt
    if path.exists():
        os.remove(path)


@pytest.mark.parametrize(
    ("what", "name", "cut_off", "left"),
    [
        ("json", "dumps", unittest.mock.Mock(side_effect=KeyboardInterrupt), 0),
        ("Path", "unlink", interrupted_at_old_pieces, 50),
    ],
    ids=["before", "after"],
)
def test_the_index_decides_which_state_is_there(tmp_path, monkeypatch, what, name, cut_off, left):
    save_pieces(tmp_path, state(0), {}, 0.2)
    monkeypatch.setattr(getattr(models.training.training_state, what), name, cut_off)
    with pytest.raises(KeyboardInterrupt):
        save_pieces(tmp_path, state(50), {}, 0.1)
    monkeypatch.undo()
    assert same(load_pieces(tmp_path), state(left))


def test_what_no_index_names_is_removed(tmp_path):
    for value in range(5):
        save_pieces(tmp_path, state(value), {}, 15)
    assert len(list(tmp_path.glob("*.safetensors"))) == 1


def test_the_one_file_of_an_older_run_is_read_and_then_replaced(tmp_path):
    save_file(state(7), tmp_path / "state.safetensors")
    assert same(load_pieces(tmp_path), state(7))
    save_pieces(tmp_path, state(8), {}, 15)
    assert same(load_pieces(tmp_path), state(8))
    assert not (tmp_path / "state.safetensors").exists()


def test_an_empty_folder_holds_no_state(tmp_path):
    assert load_pieces(tmp_path) == {}
