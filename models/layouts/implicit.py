"""The checkpoints of LIIF, SRNO and AnySR: an EDSR or RDN encoder, and LIIF's, MetaSR's or SRNO's
head.

All three derive from LIIF's code, so they share its names; AnySR's blocks have names of their own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from models.architectures.anysr import MEAN
from models.layouts.base import ConversionError, PublicSpec, Tensors, shape_of
from models.layouts.implicit_spec import Built, built, public_spec_of, published
from models.spec import NetworkSpec

EDSR_WIDTHS = (0.5, 0.7, 0.9, 1.0)
RDN_WIDTHS = (0.7, 0.8, 0.9, 1.0)
"""The trained widths of the released networks."""

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
HEADS = {
    "liif": ((r"layers", r"imnet.layers"),),
    "metasr": ((r"fc1", r"imnet.layers.0"), (r"fc2", r"imnet.layers.2")),
    "srno": (
        (r"lift", r"conv00"),
        (r"blocks\.(\d+)\.qkv", r"conv\1.qkv_proj"),
        (r"blocks\.(\d+)\.project(\d)", r"conv\1.o_proj\2"),
        (r"blocks\.(\d+)\.key_norm", r"conv\1.kln"),
        (r"blocks\.(\d+)\.value_norm", r"conv\1.vln"),
    ),
}
IMNET, LIFT = "imnet.layers.0.weight", "conv00.weight"
ENTRIES = {"edsr": "encoder.head.0.weight", "rdn": "encoder.SFENet1.weight"}
METASR_INPUTS = 3
"""The MLP's inputs: offset of an output pixel, and scale; LIIF's has features as well."""


class ImplicitLayout:
    """See the module; a `Layout`."""

    def spec_of(
        self, public: Tensors, public_spec: PublicSpec | None, as_published: bool
    ) -> NetworkSpec | None:
        kind = next((kind for kind, entry in ENTRIES.items() if entry in public), None)
        if kind is None or not (IMNET in public or LIFT in public):
            return None
        encoder, head = _edsr(public) if kind == "edsr" else _rdn(public), _head(public)
        how = _how(encoder, head["name"], public_spec, as_published)
        if how.res_scale != 1:
            encoder["args"]["res_scale"] = how.res_scale
        return NetworkSpec("composed", {"encoder": encoder, "head": head})

    def writes(self, spec: NetworkSpec) -> bool:
        if spec.name != "composed":
            return False
        encoder, head = spec.args["encoder"], spec.args["head"]
        released = head.get("args", {}).get("released_quirks", False)
        anysr = encoder.get("args", {}).get("anysr")
        known = encoder["name"] in ("edsr", "rdn") and (anysr is None or _is_released(anysr))
        return known and (
            head["name"] in ("liif", "metasr") or (head["name"] == "srno" and released)
        )

    def name_of(self, spec: NetworkSpec, ours: str) -> str:
        part, _, rest = ours.partition(".")
        if part == "head":
            return _renamed(rest, HEADS[spec.args["head"]["name"]])
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

    def file_of(self, spec: NetworkSpec, public: Tensors, path: str) -> Mapping[str, Any]:
        return {"model": {**public_spec_of(spec, path), "sd": dict(public)}}


def _how(
    encoder: Mapping[str, Any], head: str, public_spec: PublicSpec | None, as_published: bool
) -> Built:
    """Return how the network is built, given what its tensors show."""
    if public_spec is None:
        if as_published:
            return published(encoder, head)
        raise ConversionError(
            "the file does not say how its network is built: tensors do not show whether residual "
            "blocks are scaled, nor whether neighbours are blended. If it is as its authors "
            "published it, say --as-published"
        )
    how, anysr = built(public_spec), "anysr" in encoder["args"]
    said, seen = (how.encoder, how.anysr, how.head), (encoder["name"], anysr, head)
    if said != seen:
        names = [f"{'AnySR ' if a else ''}{e} with {h}" for e, a, h in (said, seen)]
        raise ConversionError(f"the file says that it is {names[0]}; its tensors are {names[1]}")
    return how


def _edsr(public: Tensors) -> dict[str, Any]:
    channels = shape_of(public, ENTRIES["edsr"], 4)[0]
    blocks = _count(public, r"encoder\.body\.(\d+)\.") - 1
    anysr = _anysr(public, "encoder.body.0.fc1.weight", channels, channels, EDSR_WIDTHS)
    return {"name": "edsr", "args": {"channels": channels, "blocks": blocks, **anysr}}


def _rdn(public: Tensors) -> dict[str, Any]:
    channels = shape_of(public, ENTRIES["rdn"], 4)[0]
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
    pairs = (shape_of(public, first, 4)[1] - gated) // 2
    cut = [int(channels * width) for width in widths]
    return {"anysr": {"widths": cut, "pairs": pairs, "released_quirks": True}}


def _is_released(anysr: dict[str, Any]) -> bool:
    return bool(anysr.get("released_quirks")) and "enhancement" not in anysr


def _head(public: Tensors) -> dict[str, Any]:
    if IMNET in public:
        layers = sum(bool(re.fullmatch(r"imnet\.layers\.\d+\.weight", name)) for name in public)
        hidden, inputs = shape_of(public, IMNET, 2)
        if inputs == METASR_INPUTS:
            return {"name": "metasr", "args": {"hidden": hidden}}
        return {"name": "liif", "args": {"hidden": hidden, "layers": layers - 1}}
    args = {
        "channels": shape_of(public, LIFT, 4)[0],
        "heads": shape_of(public, "conv0.kln.weight", 3)[0],
        "blocks": _count(public, r"conv(\d)\."),
        "released_quirks": True,
    }
    return {"name": "srno", "args": args}


def _count(public: Tensors, pattern: str) -> int:
    """Return the number of distinct matches of `pattern`'s group."""
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
