"""Trunks in 8 bits: their results, their content, and the layers that stay in float32."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from PIL import Image
from typer.testing import CliRunner

from cli.main import app
from models.architectures.registry import build_network
from models.catalog import SHIPPED, read_catalog
from models.drawn import drawings
from models.export import export_model
from models.network_file import save_network
from models.quantisation import MOST_SHARE, SIDE, quantise, samples
from models.spec import NetworkSpec

SPEC = NetworkSpec("conditioned", {"channels": 16, "blocks": 3, "basis": 3, "widths": [16]})


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """A few smooth coloured pictures, large enough for every scale, and one that is too small."""
    folder = tmp_path_factory.mktemp("photographs")
    random = np.random.default_rng(0)
    for number in range(6):
        coarse = Image.fromarray(random.integers(0, 256, (12, 12, 3), np.uint8))
        side = 40 if number == 0 else 500
        coarse.resize((side, side), Image.Resampling.BICUBIC).save(folder / f"{number}.png")
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def shown(photographs):
    """Photographs and some of the drawings."""
    return samples(photographs)[:16]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("export")
    network = build_network(SPEC)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "blocks" in name and name.endswith("weight"):
                parameter.add_(0.02 * torch.randn_like(parameter))
    save_network(folder / "trained.safetensors", SPEC, network)
    entry = export_model(folder / "trained.safetensors", folder / "out", "tiny", "A test.")
    return folder / "out", entry


def outputs(graph, folder, shown, exact=True):
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.disable_quant_qdq", "1" if exact else "0")
    options.add_session_config_entry(
        "session.model_external_initializers_file_folder_path", str(folder)
    )
    session = onnxruntime.InferenceSession(graph.SerializeToString(), options)
    feeds = ({"image": s.image, "condition": s.condition} for s in shown)
    return np.stack([session.run(None, feed)[0] for feed in feeds])


def test_what_is_shown_are_photographs_and_drawings(photographs):
    shown = samples(photographs)
    drawn = len(list(drawings(60, SIDE)))
    assert len(shown) == len(photographs) - 1 + drawn
    assert {sample.image.shape for sample in shown} == {(1, 3, SIDE, SIDE)}
    assert all(0 <= sample.image.min() <= sample.image.max() <= 1 for sample in shown)
    assert {float(sample.condition[2]) > 0 for sample in shown} == {True, False}
    again = samples(photographs)
    assert all(np.array_equal(a.image, b.image) for a, b in zip(shown, again, strict=True))


def test_a_trunk_in_8_bits_computes_nearly_the_same(exported, shown):
    folder, entry = exported
    trunk = folder / entry.widths[0].trunk.file
    made = quantise(trunk, shown)
    assert made.of == 12
    assert 6 <= made.layers <= 12
    exact = outputs(onnx.load(trunk, load_external_data=False), folder, shown)
    error = outputs(made.graph, folder, shown) - exact
    signal_db = 10 * np.log10(np.square(exact).mean() / np.square(error).mean())
    assert 30 < signal_db < 80
    # Activations are levels from 0 to 255, weights from -127 to 127, each with a step of its own.
    inside = (t for t in made.graph.graph.initializer if not t.external_data)
    steps = {t.name: numpy_helper.to_array(t) for t in inside}
    for node in made.graph.graph.node:
        if node.op_type == "QuantizeLinear":
            step, zero = steps[node.input[1]], steps[node.input[2]]
            assert (step > 0).all()
            assert zero.dtype == (np.int8 if node.input[0].endswith(".kernel") else np.uint8)
            assert step.shape == zero.shape
            assert len(step) > 1


def test_its_weights_stay_in_the_one_file(exported, shown):
    folder, entry = exported
    trunk = folder / entry.widths[0].trunk.file
    graph = quantise(trunk, shown).graph.graph
    kept = [t for t in graph.initializer if not t.external_data]
    assert max(numpy_helper.to_array(t).size for t in kept) < 16 * 16 * 9


def test_layers_that_make_most_of_the_error_stay_as_they_are(exported, shown, monkeypatch):
    folder, entry = exported
    trunk = folder / entry.widths[0].trunk.file
    monkeypatch.setattr("models.quantisation.MOST_SHARE", 1.0)
    every = quantise(trunk, shown)
    assert every.layers == every.of
    monkeypatch.setattr("models.quantisation.MOST_SHARE", MOST_SHARE)
    some = quantise(trunk, shown)
    exact = outputs(onnx.load(trunk, load_external_data=False), folder, shown)
    worse, better = (
        np.square(outputs(one.graph, folder, shown) - exact).mean() for one in (every, some)
    )
    assert some.layers < every.layers
    assert better < worse


def test_the_command_enters_the_trunks_and_prints_the_next_step(exported, photographs):
    folder, entry = exported
    (folder / "catalog.json").write_text(
        '{"default": "tiny", "models": [' + entry.model_dump_json() + "]}"
    )
    arguments = ["--data", str(photographs[0].parent), "--models", str(folder)]
    result = CliRunner().invoke(app, ["quantise", "tiny", *arguments])
    assert result.exit_code == 0, result.output
    assert "anysr evaluate tiny --precision int8 --record" in result.output
    for width in read_catalog(folder).get("tiny").widths:
        assert width.int8 is not None
        assert width.int8.onnx.bytes == (folder / width.int8.onnx.file).stat().st_size
    missing = CliRunner().invoke(app, ["quantise", "anysr-xs", *arguments[:2]])
    assert missing.exit_code == 2
    assert "no trunk" in missing.output


def test_every_shipped_int8_trunk_was_measured_to_lose_little():
    measured = [w.int8 for e in read_catalog(SHIPPED).models for w in e.widths if w.int8]
    assert measured
    assert all(0 < int8.loss_db <= 0.1 for int8 in measured)
