"""The checkpoints of LIIF, SRNO and AnySR: an EDSR or RDN encoder, and LIIF's or SRNO's head.

All three come of LIIF's code, so they share their names; AnySR's blocks have names of their own.
"""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor

from models.architectures.anysr import MEAN
from models.architectures.registry import NetworkSpec
from models.layouts.base import Tensors

EDSR_WIDTHS = (0.5, 0.7, 0.9, 1.0)
RDN_WIDTHS = (0.7, 0.8, 0.9, 1.0)
"""The widths that the released networks were trained at."""

EDSR_BLOCKS = {
    False: (
        (r"blocks\.(\d+)\.conv1", r"body.\1.body.0"),
        (r"blocks\.(\d+)\.conv2", r"body.\1.body.2"),
    ),
    True: (
        (r"blocks\.(\d+)\.attention\.(fc\d)", r"body.\1.\2"),
        (r"blocks\.(\d+)\.(conv\d)", r"body.\1.\2"),
    ),
}
"""By whether the blocks are AnySR's."""
RDN = (
    (r"entry(\d)", r"SFENet\1"),
    (r"blocks\.(\d+)\.layers\.(\d+)", r"RDBs.\1.convs.\2.conv.0"),
    (r"blocks\.(\d+)\.fuse", r"RDBs.\1.LFF"),
    (r"blocks\.(\d+)\.attention\.(fc\d)", r"RDBs.\1.\2"),
    (r"fuse1", r"GFF.0"),
    (r"fuse2", r"GFF.1"),
)
HEADS = (
    (r"layers", r"imnet.layers"),
    (r"lift", r"conv00"),
    (r"blocks\.(\d+)\.qkv", r"conv\1.qkv_proj"),
    (r"blocks\.(\d+)\.project(\d)", r"conv\1.o_proj\2"),
    (r"blocks\.(\d+)\.key_norm", r"conv\1.kln"),
    (r"blocks\.(\d+)\.value_norm", r"conv\1.vln"),
)


class ImplicitLayout:
    """See the module; a `Layout`."""

    def spec_of(self, public: Tensors) -> NetworkSpec | None:
        if "encoder.head.0.weight" in public:
            encoder = _edsr(public)
        elif "encoder.SFENet1.weight" in public:
            encoder = _rdn(public)
        else:
            return None
        head = _head(public)
        if head is None:
            return None
        return NetworkSpec("composed", {"encoder": encoder, "head": head})

    def writes(self, spec: NetworkSpec) -> bool:
        if spec.name != "composed":
            return False
        encoder, head = spec.args["encoder"], spec.args["head"]
        released = head.get("args", {}).get("released_quirks", False)
        anysr = encoder.get("args", {}).get("anysr")
        known = encoder["name"] in ("edsr", "rdn") and (anysr is None or _is_released(anysr))
        return known and (head["name"] == "liif" or (head["name"] == "srno" and released))

    def name_of(self, spec: NetworkSpec, ours: str) -> str:
        part, _, rest = ours.partition(".")
        if part == "head":
            return _renamed(rest, HEADS)
        encoder = spec.args["encoder"]
        if encoder["name"] == "rdn":
            return f"encoder.{_renamed(rest, RDN)}"
        args = encoder.get("args", {})
        ends = ((r"entry", "head.0"), (r"end", f"body.{args.get('blocks', 16)}"))
        blocks = EDSR_BLOCKS[args.get("anysr") is not None]
        return f"encoder.{_renamed(rest, (*ends, *blocks))}"

    def shaped(self, spec: NetworkSpec, ours: str, tensor: Tensor) -> Tensor:
        if ours.partition("_norm.")[1]:
            return tensor[:, None]
        convolved = ".attention." in ours or spec.args["head"]["name"] == "srno"
        if tensor.dim() == 2 and convolved:
            return tensor[:, :, None, None]
        return tensor

    def unused(self, spec: NetworkSpec) -> Tensors:
        encoder = spec.args["encoder"]
        anysr = encoder.get("args", {}).get("anysr") is not None
        if anysr:
            return _shift("add_mean", 1)
        plain = {**_shift("sub_mean", -1), **_shift("add_mean", 1)}
        return plain if encoder["name"] == "edsr" else {}

    def implied(self, spec: NetworkSpec) -> Tensors:
        return {}


def _edsr(public: Tensors) -> dict[str, Any]:
    channels = public["encoder.head.0.weight"].shape[0]
    blocks = _count(public, r"encoder\.body\.(\d+)\.") - 1
    anysr = _anysr(public, "encoder.body.0.fc1.weight", channels, channels, EDSR_WIDTHS)
    return {"name": "edsr", "args": {"channels": channels, "blocks": blocks, **anysr}}


def _rdn(public: Tensors) -> dict[str, Any]:
    channels = public["encoder.SFENet1.weight"].shape[0]
    blocks = _count(public, r"encoder\.RDBs\.(\d+)\.")
    layers = _count(public, r"encoder\.RDBs\.0\.convs\.(\d+)\.")
    anysr = _anysr(public, "encoder.RDBs.0.fc1.weight", channels, 2 * channels, RDN_WIDTHS)
    sizes = {"channels": channels, "blocks": blocks, "layers": layers}
    return {"name": "rdn", "args": {**sizes, **anysr}}


def _anysr(
    public: Tensors, first: str, channels: int, gated: int, widths: tuple[float, ...]
) -> dict[str, Any]:
    """Return the `anysr` argument of an encoder whose first attention layer has a name; empty
    without one."""
    if first not in public:
        return {}
    pairs = (public[first].shape[1] - gated) // 2
    cut = [int(channels * width) for width in widths]
    return {"anysr": {"widths": cut, "pairs": pairs, "released_quirks": True}}


def _is_released(anysr: dict[str, Any]) -> bool:
    return bool(anysr.get("released_quirks")) and "enhancement" not in anysr


def _head(public: Tensors) -> dict[str, Any] | None:
    if "imnet.layers.0.weight" in public:
        layers = sum(bool(re.fullmatch(r"imnet\.layers\.\d+\.weight", name)) for name in public)
        hidden = public["imnet.layers.0.weight"].shape[0]
        return {"name": "liif", "args": {"hidden": hidden, "layers": layers - 1}}
    if "conv00.weight" in public:
        args = {
            "channels": public["conv00.weight"].shape[0],
            "heads": public["conv0.kln.weight"].shape[0],
            "blocks": _count(public, r"conv(\d)\."),
            "released_quirks": True,
        }
        return {"name": "srno", "args": args}
    return None


def _count(public: Tensors, pattern: str) -> int:
    """Return how many different numbers stand where `pattern` has its group."""
    found = (re.match(pattern, name) for name in public)
    return len({match.group(1) for match in found if match})


def _renamed(name: str, rules: tuple[tuple[str, str], ...]) -> str:
    for ours, public in rules:
        renamed, hits = re.subn(rf"^{ours}(?=\.)", public, name)
        if hits:
            return renamed
    return name


def _shift(name: str, sign: int) -> dict[str, Tensor]:
    return {
        f"encoder.{name}.weight": torch.eye(3)[:, :, None, None],
        f"encoder.{name}.bias": sign * torch.tensor(MEAN),
    }
