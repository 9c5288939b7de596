"""Composed networks: any encoder with any head, by a nested spec, as whole networks."""

from typing import Any

import pytest
import torch

from models.architectures.network import grid_tensors
from models.architectures.registry import HEADS, build_network
from models.export import AtWidth, check, onnx_runner, write_onnx
from models.geometry import axis_grid, output_size
from models.network_file import load_network, save_network
from models.spec import NetworkSpec
from models.training.config import Sampling
from models.training.forward import upscale
from models.training.warm_start import grow
from tests.models.falling_loss import losses

EDSR = {"name": "edsr", "args": {"channels": 16, "blocks": 2}}
ANYSR: dict[str, Any] = {
    "name": "edsr",
    "args": {"channels": 16, "blocks": 2, "anysr": {"widths": [8, 11, 14, 16], "pairs": 4}},
}
PLAIN = {"name": "edsr", "args": {"channels": 16, "blocks": 1}}
ONE_BLOCK = {"name": "edsr", "args": {**ANYSR["args"], "blocks": 1}}
RDN = {
    "name": "rdn",
    "args": {
        "channels": 8,
        "blocks": 1,
        "layers": 4,
        "anysr": {"widths": [5, 8], "pairs": 8, "released_quirks": True},
    },
}
SMALL = {
    "tensor_product": {"basis": 4},
    "metasr": {"hidden": 16},
    "liif": {"hidden": 16},
    "arbsr": {},
    "srno": {"channels": 16, "heads": 4},
}
PAPERS = ["metasr", "liif", "arbsr", "srno"]


def spec_of(encoder, head):
    return NetworkSpec(
        "composed", {"encoder": encoder, "head": {"name": head, "args": SMALL[head]}}
    )


def build(encoder, head):
    torch.manual_seed(4)
    return build_network(spec_of(encoder, head)).eval()


@pytest.mark.parametrize("head", SMALL)
@pytest.mark.parametrize("encoder", [EDSR, ANYSR, RDN], ids=["edsr", "anysr", "rdn"])
def test_any_encoder_goes_with_any_head_at_any_real_scale(encoder, head):
    net = build(encoder, head)
    with torch.no_grad():
        for scale, width in ((1.0, net.widths[0]), (2.37, net.widths[-1]), (8.0, net.widths[0])):
            size = output_size(5, scale), output_size(6, scale)
            made = upscale(net, torch.rand(2, 3, 5, 6), size, width)
            assert made.shape == (2, 3, *size)
            assert made.isfinite().all()


@pytest.mark.parametrize("head", PAPERS)
def test_pictures_of_a_batch_do_not_affect_each_other(head):
    net, images = build(ANYSR, head), torch.rand(3, 3, 5, 6)
    with torch.no_grad():
        together = upscale(net, images, (9, 14), 11)
        alone = torch.cat([upscale(net, image[None], (9, 14), 11) for image in images])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


def test_a_composed_network_is_local_where_both_its_parts_are():
    assert build(EDSR, "liif").halo == 2 * 2 + 2 + 2
    assert build(ANYSR, "liif").halo is None
    assert build(EDSR, "srno").halo is None


@pytest.mark.parametrize("head", ["liif", "metasr"])
def test_a_tile_with_its_halo_is_what_the_whole_is(head):
    net, image = build(EDSR, head), torch.rand(1, 3, 40, 6)
    core, window, columns = (16, 22), (16 - net.halo, 22 + net.halo), axis_grid(6, 14)
    output = (-(-core[0] * 92 // 40), -(-core[1] * 92 // 40))
    rows = axis_grid(40, 92, window, output)
    with torch.no_grad():
        whole = upscale(net, image, (92, 14), 16)[:, :, slice(*output)]
        part = net(image[:, :, slice(*window)], grid_tensors(rows, columns), 16)
    torch.testing.assert_close(part, whole, atol=1e-6, rtol=0)


def test_weights_come_back_from_a_file_with_their_nested_spec(tmp_path):
    net, spec = build(ANYSR, "liif"), spec_of(ANYSR, "liif")
    save_network(tmp_path / "w.safetensors", spec, net)
    read, again = load_network(tmp_path / "w.safetensors")
    assert read == spec
    for name, value in net.state_dict().items():
        assert torch.equal(again.state_dict()[name], value)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (
            {"encoder": {"name": "vgg"}, "head": {"name": "liif"}},
            "unknown encoder 'vgg'; known: edsr",
        ),
        (
            {"encoder": EDSR, "head": {"name": "cubic"}},
            "unknown head 'cubic'; known: tensor_product",
        ),
    ],
)
def test_an_unknown_part_is_named_with_those_that_are_known(args, said):
    with pytest.raises(ValueError, match=said):
        build_network(NetworkSpec("composed", args))


def test_an_unknown_network_is_refused():
    with pytest.raises(ValueError, match="unknown network 'resnet'; known: conditioned"):
        build_network(NetworkSpec("resnet"))


def test_an_anysr_network_starts_from_the_plain_one():
    plain, net = build(EDSR, "liif"), build(ANYSR, "liif")
    grow(plain, net)
    for name, value in plain.state_dict().items():
        assert torch.equal(net.state_dict()[name], value)


EXPORTED = [(PLAIN, "metasr"), (ONE_BLOCK, "liif"), (RDN, "arbsr"), (ONE_BLOCK, "srno")]


@pytest.mark.parametrize(("encoder", "head"), EXPORTED)
def test_an_exported_graph_is_the_network(tmp_path, encoder, head):
    net, spec, weights = build(encoder, head), spec_of(encoder, head), tmp_path / "w.safetensors"
    for name, buffer in net.named_buffers():
        if name.endswith(("running_mean", "running_var")):  # as after a training
            buffer.uniform_(0.2, 3.0)
    save_network(weights, spec, net)
    path = tmp_path / "graph.onnx"
    write_onnx(net, net.widths[0], weights, path)
    assert check(net, net.widths[0], onnx_runner(path)) < 1e-4


def test_every_head_is_covered():
    assert set(SMALL) <= set(HEADS)
    assert AtWidth(build(EDSR, "liif"), 16).channels == 16


@pytest.mark.parametrize(
    ("encoder", "head"), [(ANYSR, "metasr"), (RDN, "liif"), (ANYSR, "arbsr"), (ANYSR, "srno")]
)
def test_training_makes_the_loss_fall(tmp_path, photographs, encoder, head):
    before, after = losses(
        spec_of(encoder, head), photographs, tmp_path, Sampling(batch=4, patch=20)
    )
    assert after < 0.9 * before
