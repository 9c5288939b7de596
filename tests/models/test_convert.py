"""Conversion of public checkpoints: their names and shapes as published, loss-free both ways, and
the network computes the published one's formulas."""

import itertools
import pickle
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from cli.main import app
from models.architectures.anysr import MEAN
from models.architectures.registry import build_network
from models.convert import ConversionError, from_public, read_public, to_public

C, BLOCKS = 16, 2


def conv(name, inputs, outputs, side=3):
    return {f"{name}.weight": (outputs, inputs, side, side), f"{name}.bias": (outputs,)}


def shift(name):
    return conv(f"encoder.{name}", 3, 3, 1)


def edsr(anysr):
    shapes = {**shift("sub_mean"), **shift("add_mean"), **conv("encoder.head.0", 3, C)}
    for i in range(BLOCKS):
        names = ("conv1", "conv2") if anysr else ("body.0", "body.2")
        for name in names:
            shapes |= conv(f"encoder.body.{i}.{name}", C, C)
        if anysr:
            shapes |= conv(f"encoder.body.{i}.fc1", C + 8, 2 * C, 1)
            shapes |= conv(f"encoder.body.{i}.fc2", 2 * C, C, 1)
    return shapes | conv(f"encoder.body.{BLOCKS}", C, C)


def rdn(anysr, layers=4):
    shapes = {**conv("encoder.SFENet1", 3, C), **conv("encoder.SFENet2", C, C)}
    for i in range(BLOCKS):
        block = f"encoder.RDBs.{i}"
        for k in range(layers):
            shapes |= conv(f"{block}.convs.{k}.conv.0", C * (k + 1), C)
        shapes |= conv(f"{block}.LFF", C * (layers + 1), C, 1)
        if anysr:
            shapes |= conv(f"{block}.fc1", 2 * C + 16, 4 * C, 1) | conv(
                f"{block}.fc2", 4 * C, 2 * C, 1
            )
    shapes |= conv("encoder.GFF.0", BLOCKS * C, C, 1) | conv("encoder.GFF.1", C, C)
    return shapes | (shift("sub_mean") | shift("add_mean") if anysr else {})


def liif():
    sizes = [9 * C + 4, 8, 8, 3]
    shapes: dict[str, tuple[int, ...]] = {}
    for number, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
        name = f"imnet.layers.{2 * number}"
        shapes |= {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}
    return shapes


def metasr(hidden=8):
    return {
        "imnet.layers.0.weight": (hidden, 3),
        "imnet.layers.0.bias": (hidden,),
        "imnet.layers.2.weight": (27 * C, hidden),
        "imnet.layers.2.bias": (27 * C,),
    }


def srno(channels=8, heads=2):
    shapes = conv("conv00", 4 * C + 10, channels, 1)
    for number in range(2):
        block = f"conv{number}"
        shapes |= conv(f"{block}.qkv_proj", channels, 3 * channels, 1)
        shapes |= conv(f"{block}.o_proj1", channels, channels, 1)
        shapes |= conv(f"{block}.o_proj2", channels, channels, 1)
        for norm in ("kln", "vln"):
            size = (heads, 1, channels // heads)
            shapes |= {f"{block}.{norm}.weight": size, f"{block}.{norm}.bias": size}
    return shapes | conv("fc1", channels, channels, 1) | conv("fc2", channels, 3, 1)


LAYOUTS = {
    "LIIF, EDSR": edsr(False) | liif(),
    "LIIF, RDN": rdn(False) | liif(),
    "MetaSR, EDSR": edsr(False) | metasr(),
    "SRNO, EDSR": edsr(False) | srno(),
    "SRNO, RDN": rdn(False) | srno(),
    "AnySR, EDSR": edsr(True) | srno(),
    "AnySR, RDN": rdn(True) | srno(),
}


def checkpoint(layout):
    """Return random tensors under public names, with unused mean shifts at their initial values."""
    generator = torch.Generator().manual_seed(7)
    shapes, anysr = LAYOUTS[layout], layout.startswith("AnySR")
    tensors = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    for name, sign in (("sub_mean", -1), ("add_mean", 1)):
        if f"encoder.{name}.bias" in tensors and not (anysr and name == "sub_mean"):
            tensors[f"encoder.{name}.weight"] = torch.eye(3)[:, :, None, None]
            tensors[f"encoder.{name}.bias"] = sign * torch.tensor(MEAN)
    return tensors


@pytest.mark.parametrize("layout", LAYOUTS)
def test_conversion_is_loss_free_both_ways(layout):
    public = checkpoint(layout)
    spec, ours = from_public(public, as_published=True)
    network = build_network(spec)
    network.load_state_dict(ours)  # every tensor, and no other
    back = to_public(spec, network.state_dict())
    assert back.keys() == public.keys()
    for name, tensor in public.items():
        assert torch.equal(back[name], tensor), name
    again_spec, again = from_public(back, as_published=True)
    assert again_spec == spec
    assert all(torch.equal(again[name], tensor) for name, tensor in ours.items())


def test_a_converted_anysr_has_the_released_quirks_and_widths():
    spec, _ = from_public(checkpoint("AnySR, RDN"), as_published=True)
    slicing = spec.args["encoder"]["args"]["anysr"]
    assert slicing == {"widths": [11, 12, 14, 16], "pairs": 8, "released_quirks": True}
    assert spec.args["head"]["args"]["released_quirks"]
    spec, _ = from_public(checkpoint("AnySR, EDSR"), as_published=True)
    assert spec.args["encoder"]["args"]["anysr"]["widths"] == [8, 11, 14, 16]
    assert build_network(spec).widths == (8, 11, 14, 16)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda sd: sd.pop("encoder.body.1.conv2.bias"), "body.1.conv2.bias must be .16., but is"),
        (lambda sd: sd.update({"extra.weight": torch.zeros(1)}), "takes extra.weight"),
        (lambda sd: sd["encoder.add_mean.bias"].add_(1), "add_mean.bias is used nowhere"),
        (lambda sd: sd.pop("conv00.weight"), "no known layout"),
    ],
)
def test_what_is_amiss_is_said(change, said):
    public = checkpoint("AnySR, EDSR")
    change(public)
    with pytest.raises(ConversionError, match=said):
        from_public(public, as_published=True)


def test_what_no_public_checkpoint_holds_is_refused():
    spec, ours = from_public(checkpoint("AnySR, EDSR"), as_published=True)
    spec.args["encoder"]["args"]["anysr"]["released_quirks"] = False
    with pytest.raises(ConversionError, match="no public checkpoint"):
        to_public(spec, ours)


class Harmful:
    def __reduce__(self):
        return Path.touch, (Path("harmed"),)


def test_nothing_in_a_public_file_is_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"model": {"sd": {"x": Harmful()}}}, tmp_path / "harmful.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps({"x": 1}, protocol=2))
    for name in ("harmful.pth", "plain.pth"):
        with pytest.raises(ConversionError):
            read_public(tmp_path / name)
    assert not (tmp_path / "harmed").exists()


def test_the_command_reports_files_that_it_cannot_convert(tmp_path):
    torch.save({"weight": torch.zeros(1)}, tmp_path / "other.pth")
    arguments = ["convert", str(tmp_path / "other.pth"), str(tmp_path / "w.safetensors")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1
    assert "no known layout" in result.output
