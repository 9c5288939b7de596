"""Whole public files: their {name, args} is used, and files that are written back load in the
public code, which builds the network of these tensors from {name, args} alone."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from cli.main import app
from models.architectures.encoders.edsr import EDSR
from models.architectures.heads.metasr import MetaSR
from models.architectures.registry import build_network
from models.convert import ConversionError, from_public, read_public, to_public, write_public
from models.network_file import load_network, save_network
from models.spec import NetworkSpec


def conv(name, inputs, outputs, side=3):
    return {f"{name}.weight": (outputs, inputs, side, side), f"{name}.bias": (outputs,)}


def linear(name, inputs, outputs):
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def edsr(names, n_resblocks=16, n_feats=64, res_scale=1, no_upsampling=False):
    assert no_upsampling
    assert res_scale > 0
    shapes = conv("sub_mean", 3, 3, 1) | conv("add_mean", 3, 3, 1) | conv("head.0", 3, n_feats)
    for block, name in itertools.product(range(n_resblocks), names):
        shapes |= conv(f"body.{block}.{name}", n_feats, n_feats)
    return shapes | conv(f"body.{n_resblocks}", n_feats, n_feats), n_feats


def edsr_baseline(**args):
    return edsr(("body.0", "body.2"), **args)


def edsr_large(n_resblocks=32, n_feats=256, res_scale=0.1, **args):
    return edsr_baseline(n_resblocks=n_resblocks, n_feats=n_feats, res_scale=res_scale, **args)


def edsr_anysr(n_resblocks=16, n_feats=64, **args):
    shapes, _ = edsr(("conv1", "conv2"), n_resblocks, n_feats, **args)
    for block in range(n_resblocks):
        shapes |= conv(f"body.{block}.fc1", n_feats + 8, 2 * n_feats, 1)
        shapes |= conv(f"body.{block}.fc2", 2 * n_feats, n_feats, 1)
    return shapes, n_feats


def rdn(G0=64, RDNconfig="B", no_upsampling=False):  # noqa: N803
    assert no_upsampling
    blocks, layers, growth = {"A": (20, 6, 32), "B": (16, 8, 64)}[RDNconfig]
    shapes = conv("SFENet1", 3, G0) | conv("SFENet2", G0, G0)
    for i, k in itertools.product(range(blocks), range(layers)):
        shapes |= conv(f"RDBs.{i}.convs.{k}.conv.0", G0 + k * growth, growth)
    for i in range(blocks):
        shapes |= conv(f"RDBs.{i}.LFF", G0 + layers * growth, G0, 1)
    return shapes | conv("GFF.0", blocks * G0, G0, 1) | conv("GFF.1", G0, G0), G0


ENCODERS: dict[str, Callable[..., Any]] = {
    "edsr-baseline": edsr_baseline,
    "edsr": edsr_large,
    "edsr-anysr-baseline": edsr_anysr,
    "rdn": rdn,
}


def liif(features, imnet_spec, **switches):
    assert switches.keys() <= {"local_ensemble", "feat_unfold", "cell_decode"}
    args = imnet_spec["args"]
    sizes = [9 * features + 4, *args["hidden_list"], args["out_dim"]]
    layers = enumerate(itertools.pairwise(sizes))
    return {k: v for n, (a, b) in layers for k, v in linear(f"imnet.layers.{2 * n}", a, b).items()}


def metasr(features):
    return linear("imnet.layers.0", 3, 256) | linear("imnet.layers.2", 256, 27 * features)


def sronet(features, width=256, blocks=16):
    assert features == 64
    shapes = conv("conv00", (64 + 2) * 4 + 2, width, 1)
    for block in ("conv0", "conv1"):
        shapes |= conv(f"{block}.qkv_proj", width, 3 * width, 1)
        shapes |= conv(f"{block}.o_proj1", width, width, 1)
        shapes |= conv(f"{block}.o_proj2", width, width, 1)
        size = (blocks, 1, width // blocks)
        shapes |= {f"{block}.{n}.{k}": size for n in ("kln", "vln") for k in ("weight", "bias")}
    return shapes | conv("fc1", width, 256, 1) | conv("fc2", 256, 3, 1)


HEADS: dict[str, Callable[..., Any]] = {"liif": liif, "metasr": metasr, "sronet": sronet}


def shapes_of(name, args):
    """Return the shapes of the network that the public code builds from {name, args}, by name."""
    args = dict(args)
    inner = args.pop("encoder_spec")
    encoder, features = ENCODERS[inner["name"]](**inner["args"])
    head = HEADS[name](features, **args)
    return {f"encoder.{name}": shape for name, shape in encoder.items()} | head


def spec_of(encoder, head="liif", inner=None, **args):
    if head == "liif":
        args = {"imnet_spec": {"name": "mlp", "args": {"out_dim": 3, "hidden_list": [16]}}} | args
    inner = {"no_upsampling": True} | (inner or {})
    return {"name": head, "args": {"encoder_spec": {"name": encoder, "args": inner}, **args}}


SMALL = {"n_resblocks": 2}
SPECS = {
    "LIIF": spec_of("edsr-baseline", inner=SMALL),
    "LIIF with EDSR's factor": spec_of("edsr", inner={"n_resblocks": 2, "n_feats": 16}),
    "LIIF with RDN": spec_of("rdn"),
    "MetaSR": spec_of("edsr-baseline", "metasr", SMALL),
    "SRNO": spec_of("edsr-baseline", "sronet", SMALL, width=256, blocks=16),
    "AnySR": spec_of("edsr-anysr-baseline", "sronet", SMALL, width=256, blocks=16),
}


def tensors_of(spec):
    generator = torch.Generator().manual_seed(3)
    shapes = shapes_of(spec["name"], spec["args"])
    tensors = {
        name: 0.1 * torch.randn(shape, generator=generator) for name, shape in shapes.items()
    }
    for name, sign in (("sub_mean", -1), ("add_mean", 1)):
        if f"encoder.{name}.bias" in tensors:
            tensors[f"encoder.{name}.weight"] = torch.eye(3)[:, :, None, None]
            tensors[f"encoder.{name}.bias"] = sign * torch.tensor((0.4488, 0.4371, 0.4040))
    return tensors


def write(path, spec, tensors):
    content = {"model": {**spec, "sd": tensors}, "optimizer": {"name": "adam"}, "epoch": 7}
    torch.save(content, path)
    return path


def convert(*arguments):
    result = CliRunner().invoke(app, ["convert", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.mark.parametrize("kind", SPECS)
def test_what_is_written_back_is_what_the_public_code_builds(kind, tmp_path):
    public = tensors_of(SPECS[kind])
    source = write(tmp_path / "epoch.pth", SPECS[kind], public)
    ours, back = tmp_path / "w.safetensors", tmp_path / "back.pth"
    for step in ((source, ours), (ours, back)):
        result = convert(*step)
        assert result.exit_code == 0, result.output
    model = torch.load(back, weights_only=True)["model"]
    built = shapes_of(model["name"], model["args"])
    assert built == {name: tuple(tensor.shape) for name, tensor in model["sd"].items()}
    assert all(torch.equal(model["sd"][name], tensor) for name, tensor in public.items())
    again = read_public(back)
    assert from_public(again.tensors, again.spec)[0] == load_network(ours)[0]


def test_an_anysr_file_names_itself_as_what_its_encoder_starts_from(tmp_path):
    """Its public code opens this path while it builds the network."""
    source = write(tmp_path / "epoch.pth", SPECS["AnySR"], tensors_of(SPECS["AnySR"]))
    back = tmp_path / "back.pth"
    assert convert(source, tmp_path / "w.safetensors").exit_code == 0
    assert convert(tmp_path / "w.safetensors", back).exit_code == 0
    model = torch.load(back, weights_only=True)["model"]
    assert torch.load(model["args"]["encoder_spec"]["path"], weights_only=True)["model"]["sd"]


@torch.no_grad()
def test_a_factor_of_residual_blocks_is_read_and_used(tmp_path):
    spec = SPECS["LIIF with EDSR's factor"]
    public = tensors_of(spec)
    ours = tmp_path / "w.safetensors"
    result = convert(write(tmp_path / "epoch.pth", spec, public), ours)
    assert result.exit_code == 0, result.output
    encoder = load_network(ours)[1].get_submodule("encoder")
    image = torch.rand(1, 3, 6, 7)

    def layer(name, x):
        weight, bias = (public[f"encoder.{name}.{kind}"] for kind in ("weight", "bias"))
        return torch.nn.functional.conv2d(x, weight, bias, padding=1)

    start = x = layer("head.0", 2 * image - 1)
    for block in range(2):
        x = x + 0.1 * layer(f"body.{block}.body.2", layer(f"body.{block}.body.0", x).relu())
    expected = start + layer("body.2", x)
    torch.testing.assert_close(encoder(image, torch.ones(2), 16), expected, atol=1e-5, rtol=1e-5)


UNLIKE = {
    "local_ensemble = False": spec_of("edsr-baseline", inner=SMALL, local_ensemble=False),
    "cell_decode = 0": spec_of("edsr-baseline", inner=SMALL, cell_decode=0),
    "res_scale is 'a'": spec_of("edsr-baseline", inner=SMALL | {"res_scale": "a"}),
    "res_scale is -1": spec_of("edsr-baseline", inner=SMALL | {"res_scale": -1}),
    "encoder is 'swinir'": {"name": "liif", "args": {"encoder_spec": {"name": "swinir"}}},
    "network is 'lte'": {"name": "lte", "args": {"encoder_spec": {"name": "rdn"}}},
    "network is a list": {"name": ["liif"], "args": {"encoder_spec": {"name": "rdn"}}},
    "encoder_spec is None": {"name": "liif", "args": {"encoder_spec": None}},
    "its tensors are edsr with liif": spec_of("edsr-baseline", "metasr", SMALL),
}


@pytest.mark.parametrize("said", UNLIKE)
def test_an_unsupported_network_is_refused_with_the_reason(said, tmp_path):
    tensors = tensors_of(SPECS["LIIF"])
    target = tmp_path / "w.safetensors"
    result = convert(write(tmp_path / "epoch.pth", UNLIKE[said], tensors), target)
    assert result.exit_code == 1
    assert said in result.output
    assert not target.exists()


def test_a_file_of_tensors_alone_is_taken_as_published_only_on_request(tmp_path):
    source, ours = tmp_path / "bare.pth", tmp_path / "w.safetensors"
    torch.save(tensors_of(SPECS["LIIF"]), source)
    refused = convert(source, ours)
    assert refused.exit_code == 1
    assert "--as-published" in refused.output
    assert convert(source, ours, "--as-published").exit_code == 0
    assert "res_scale" not in load_network(ours)[0].args["encoder"]["args"]


def test_edsr_itself_was_published_with_a_factor():
    args = {"n_resblocks": 32, "n_feats": 256, "no_upsampling": True}
    shapes = shapes_of(**spec_of("edsr", inner=args))
    tensors = {name: torch.zeros(1).expand(shape) for name, shape in shapes.items()}
    shifts = {n: tensor for n, tensor in tensors_of(SPECS["LIIF"]).items() if "_mean" in n}
    spec, _ = from_public(tensors | shifts, as_published=True)
    assert spec.args["encoder"]["args"]["res_scale"] == 0.1


def test_the_other_families_come_back_under_state_dict(tmp_path):
    """DeFiAN's code reads the epoch as well."""
    args = {"scale": 2, "channels": 16, "modules": 1, "blocks": 1, "released_quirks": True}
    spec = NetworkSpec("defian", args)
    network = build_network(spec)
    save_network(tmp_path / "w.safetensors", spec, network)
    assert convert(tmp_path / "w.safetensors", tmp_path / "back.pth").exit_code == 0
    content = torch.load(tmp_path / "back.pth", weights_only=True)
    assert content["epoch"] + 1
    assert content["state_dict"].keys() == to_public(spec, network.state_dict()).keys()


@pytest.mark.parametrize(
    ("encoder", "head"),
    [
        (
            {"name": "edsr", "args": {"channels": 8, "blocks": 1}},
            {"name": "metasr", "args": {"hidden": 8}},
        ),
        ({"name": "rdn", "args": {"channels": 8, "blocks": 1, "layers": 4}}, {"name": "liif"}),
        (
            {"name": "edsr", "args": {"channels": 8, "blocks": 1}},
            {"name": "srno", "args": {"channels": 8, "heads": 2, "released_quirks": True}},
        ),
    ],
)
def test_sizes_that_no_public_code_builds_are_not_written(encoder, head, tmp_path):
    spec = NetworkSpec("composed", {"encoder": encoder, "head": head})
    with pytest.raises(ConversionError, match="the public code builds no"):
        write_public(tmp_path / "back.pth", spec, build_network(spec).state_dict())
    assert not list(tmp_path.iterdir())


def test_a_defian_without_the_quirks_has_no_public_form():
    spec = NetworkSpec("defian", {"scale": 2, "channels": 16, "modules": 1, "blocks": 1})
    with pytest.raises(ConversionError, match="no public checkpoint"):
        to_public(spec, build_network(spec).state_dict())


@torch.no_grad()
def test_metasr_keeps_its_two_layers_apart():
    public = tensors_of(SPECS["MetaSR"])
    spec, ours = from_public(public, SPECS["MetaSR"])
    network = build_network(spec)
    network.load_state_dict(ours)
    head = network.get_submodule("head")
    assert isinstance(head, MetaSR)
    assert isinstance(network.get_submodule("encoder"), EDSR)
    assert torch.equal(head.fc1.weight, public["imnet.layers.0.weight"])
    assert torch.equal(head.fc2.bias, public["imnet.layers.2.bias"])


def test_files_from_before_archives_are_read(tmp_path):
    public = tensors_of(SPECS["LIIF"])
    content = {"model": {**SPECS["LIIF"], "sd": public}, "step": torch.tensor([3])}
    torch.save(content, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    read = read_public(tmp_path / "old.pth")
    assert read.spec == SPECS["LIIF"]
    assert read.tensors.keys() == public.keys()
    assert all(torch.equal(read.tensors[name], tensor) for name, tensor in public.items())


def test_tensors_that_share_numbers_or_lie_across_are_read(tmp_path):
    whole = torch.randn(6, 4)
    parts = {"rows": whole[2:4], "columns": whole.T, "channels_last": torch.randn(2, 3, 4, 4)}
    parts["channels_last"] = parts["channels_last"].to(memory_format=torch.channels_last)
    padding = {"padding": torch.zeros(100)}
    torch.save({**parts, **padding}, tmp_path / "parts.pth")
    read = read_public(tmp_path / "parts.pth").tensors
    assert all(torch.equal(read[name], part) for name, part in parts.items())
    assert all(tensor.is_contiguous() for tensor in read.values())
