"""Export: artifacts compute what the network computes, share one weights file, hide no paths."""

import numpy as np
import onnx
import pytest
import torch

from models.architectures.registry import build_network
from models.catalog import SHIPPED, read_catalog, verified
from models.export import (
    TOLERANCE,
    ExportError,
    check,
    export_model,
    input_names,
    onnx_runner,
    torchscript_runner,
)
from models.network_file import load_network, save_network
from models.spec import NetworkSpec

SPEC = NetworkSpec("conditioned", {"channels": 8, "blocks": 1, "basis": 3, "widths": [4, 8]})
HARD_SIZES = [(1, 1, 3.0, 3.0), (2, 50, 1.0, 8.0), (37, 20, 1.37, 2.9), (24, 24, 4.0, 4.0)]
SHIPPED_SIZES = [(9, 13, 3.0, 2.0), (5, 64, 7.3, 1.1)]
"""Sizes within a window of any attention (48), and beyond it. The export checked further ones."""


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Export a small network with no parameter at its initial value."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("export")
    network = build_network(SPEC)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    weights = folder / "trained.safetensors"
    save_network(weights, SPEC, network)
    lines: list[str] = []
    entry = export_model(
        weights, folder / "out", "tiny", "A test.", torchscript=True, report=lines.append
    )
    assert len(lines) == 5
    assert f"with a rim of {entry.rim} a flat colour changes by" in lines[-1]
    return folder / "out", entry, network.eval()


@pytest.mark.parametrize("channels", [4, 8])
def test_onnx_computes_what_the_network_computes(exported, channels):
    folder, _, network = exported
    run = onnx_runner(folder / f"tiny-{channels}.onnx")
    assert check(network, channels, run, HARD_SIZES) <= TOLERANCE


@pytest.mark.parametrize("channels", [4, 8])
def test_torchscript_computes_what_the_network_computes(exported, channels):
    folder, _, network = exported
    run = torchscript_runner(folder / "tiny.torchscript", channels)
    assert check(network, channels, run, HARD_SIZES) <= TOLERANCE


@pytest.mark.filterwarnings("ignore:.torch.jit.load. is deprecated:DeprecationWarning")
def test_exported_files_take_the_grid_as_tensors(exported):
    folder, entry, network = exported
    names = list(input_names(network))
    for width in entry.widths:
        graph = onnx.load(folder / width.onnx.file, load_external_data=False).graph
        assert [given.name for given in graph.input] == names
    script = torch.jit.load(folder / "tiny.torchscript")
    kinds = [str(argument.type) for argument in script.forward.schema.arguments[1:]]
    assert kinds == ["Tensor"] * len(names) + ["int"]


@pytest.fixture(scope="module")
def half(exported, tmp_path_factory):
    """Export the same network in float16, at its full width alone."""
    network = exported[-1]
    weights = tmp_path_factory.mktemp("half") / "trained.safetensors"
    save_network(weights, SPEC, network, (1.5, 3.0))
    out = weights.parent / "half"
    return weights, out, export_model(weights, out, "half", "A test.", half=True, widths=[1.0])


def test_half_the_bytes_hold_what_the_rounded_network_computes(exported, half):
    network, (weights, folder, entry) = exported[-1], half
    assert entry.weights.bytes < 0.7 * weights.stat().st_size
    assert entry.trained_scales == (1.5, 3.0)
    _, rounded = load_network(folder / entry.weights.file)
    assert {p.dtype for p in rounded.parameters()} == {torch.float32}
    first = "entry.weight"
    assert not torch.equal(rounded.get_parameter(first), network.get_parameter(first))
    (width,) = entry.widths
    graph = folder / width.onnx.file
    assert check(rounded, width.channels, onnx_runner(graph)) <= TOLERANCE
    assert graph.stat().st_size < 100_000  # the weights are not in it


def test_the_entry_describes_what_was_written(exported):
    folder, entry, network = exported
    assert entry.torchscript is not None
    for artifact in (entry.weights, entry.torchscript, *(w.onnx for w in entry.widths)):
        assert verified(folder, artifact).is_file()
    assert [(w.width, w.channels) for w in entry.widths] == [(0.5, 4), (1.0, 8)]
    assert entry.halo == network.halo
    assert 0 <= entry.rim <= network.halo
    assert entry.output_halo == 0


def test_only_the_requested_widths_are_exported(exported, half, tmp_path):
    _, folder, entry = half
    assert [w.channels for w in entry.widths] == [8]
    assert (folder / "half-8.onnx").exists()
    assert not (folder / "half-4.onnx").exists()
    with pytest.raises(ValueError, match=r"no width 0.7; the network has 0.5, 1"):
        export_model(exported[0] / "tiny.safetensors", tmp_path, "other", "A test.", widths=[0.7])
    assert not (tmp_path / "other.safetensors").exists()


def test_different_numbers_fail_the_export(exported):
    folder, _, network = exported
    run = onnx_runner(folder / "tiny-4.onnx")
    with pytest.raises(ExportError, match="numbers differ"):
        check(network, 8, run)
    with pytest.raises(ExportError, match="numbers differ"):
        check(network, 4, lambda *inputs: run(*inputs) * np.float32("nan"))
    with pytest.raises(ExportError, match="must be"):
        check(network, 4, lambda *inputs: run(*inputs)[..., 1:])


def test_artifacts_hold_no_path_of_the_machine_that_made_them(exported):
    folder, *_ = exported
    here = str(SHIPPED.parent.parent).encode()
    for path in [*folder.iterdir(), *SHIPPED.iterdir()]:
        content = path.read_bytes()
        assert here not in content, path
        assert b"site-packages" not in content, path
        written = (".torchscript", ".md")  # a script names its sources, a card links to them
        assert b"conditioned.py" not in content or path.suffix in written, path


@pytest.mark.parametrize("name", read_catalog().names)
def test_shipped_graphs_compute_what_the_shipped_weights_compute(name):
    entry = read_catalog().get(name)
    _, network = load_network(verified(SHIPPED, entry.weights))
    for width in entry.widths:
        run = onnx_runner(verified(SHIPPED, width.onnx))
        assert check(network, width.channels, run, SHIPPED_SIZES) <= TOLERANCE


def test_a_file_without_our_header_is_refused(tmp_path):
    from safetensors.torch import save_file

    path = tmp_path / "other.safetensors"
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match="no AnySR weights file"):
        load_network(path)
