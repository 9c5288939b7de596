"""Data parallelism: several processes, each with its part of a batch, train as one does."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from benchmarks.ports import free_ports
from models.training.data_parallel import Peers

CONFIG = """
[network]
name = "conditioned"
args = { channels = 8, blocks = 1, basis = 3, widths = [4, 8] }

[sampling]
batch = 4
patch = 8

[training]
steps = 5
optimiser = "muon"
validation_images = 1
"""
TRAIN = ("-m", "models.training.run")
# The loopback address by number: a machine need not be able to resolve its own name.
LAUNCH = ("-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-addr", "127.0.0.1")


@pytest.mark.parametrize(("batch", "count"), [(16, 2), (5, 2), (7, 3), (4, 4)])
def test_the_parts_of_all_processes_are_the_batch(batch, count):
    parts = [range(batch)[Peers(rank, count).part_of(batch)] for rank in range(count)]
    assert [sample for part in parts for sample in part] == list(range(batch))
    assert all(parts)


def test_a_single_process_communicates_nothing():
    parameter = torch.nn.Parameter(torch.ones(2))
    parameter.grad = torch.tensor([1.0, 2.0])
    Peers().average([parameter])
    assert parameter.grad.tolist() == [1.0, 2.0]
    assert Peers().any_wants(True)
    assert not Peers().any_wants(False)


def test_two_processes_train_as_one_does(tmp_path):
    random = np.random.default_rng(1)
    data, config = tmp_path / "data", tmp_path / "config.toml"
    data.mkdir()
    config.write_text(CONFIG)
    for number in range(3):
        pixels = random.integers(0, 256, (80, 80, 3), np.uint8)
        Image.fromarray(pixels).save(data / f"{number}.png")
    found = []
    launch = (*LAUNCH, "--master-port", str(*free_ports(1)), *TRAIN)
    for start, run in ((TRAIN, "one"), (launch, "two")):
        given = (
            str(config),
            "--data",
            str(data),
            "--output",
            str(tmp_path / run),
            "--threads",
            "1",
        )
        subprocess.run([sys.executable, *start, *given], check=True, timeout=120)
        found.append(load_file(tmp_path / run / "weights.safetensors"))
    one, two = found
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, atol=1e-6, rtol=1e-5)
    assert (tmp_path / "two" / "log.jsonl").read_text().count('"step": 0') == 1
