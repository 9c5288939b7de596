"""Public CiaoSR checkpoints (EDSR-baseline and RDN) to our composed network, and back.

Only names and the input differ: the input of public encoders is the picture minus DIV2K's mean
colour, ours is in [-1, 1]. The encoders' mean shift, which AnySR's released networks need as well,
converts one to the other before padding, so that the values are the same.

The names inside `cs_attn` are those of CSNLN's code for cross-scale attention, which the public
code copies.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from models.architectures.anysr import MEAN
from models.layouts.base import PublicSpec, Tensors, shape_of
from models.spec import NetworkSpec

NAMES = (
    # EDSR-baseline
    ("conv_first", "encoder.entry"),
    ("body.{}.conv1", "encoder.blocks.{}.conv1"),
    ("body.{}.conv2", "encoder.blocks.{}.conv2"),
    ("conv_after_body", "encoder.end"),
    # RDN
    ("sfe1", "encoder.entry1"),
    ("sfe2", "encoder.entry2"),
    ("rdbs.{}.layers.{}.conv", "encoder.blocks.{}.layers.{}"),
    ("rdbs.{}.lff", "encoder.blocks.{}.fuse"),
    ("gff.0", "encoder.fuse1"),
    ("gff.1", "encoder.fuse2"),
    # the head
    ("imnet_q.layers.{}", "head.imnet_q.layers.{}"),
    ("imnet_k.layers.{}", "head.imnet_k.layers.{}"),
    ("imnet_v.layers.{}", "head.imnet_v.layers.{}"),
    ("cs_attn.conv_match_1.{}", "head.cs_attn.conv_match_1.{}"),
    ("cs_attn.conv_match_2.{}", "head.cs_attn.conv_match_2.{}"),
    ("cs_attn.conv_assembly.{}", "head.cs_attn.conv_assembly.{}"),
    ("cs_attn.down", "head.cs_attn.down"),
)
"""(public, ours) names of modules; {} stands for a number."""

PREFIX = "generator."
"""The prefix of all names, from the public training framework."""
QUERY = f"{PREFIX}imnet_q.layers.0.weight"
CONSTANTS = {f"{PREFIX}cs_attn.escape_NaN": torch.tensor([1e-4])}
"""Public buffers that are no weights."""
SHIFT = {
    "encoder.sub_mean.weight": 0.5 * torch.eye(3)[:, :, None, None],
    "encoder.sub_mean.bias": 0.5 - torch.tensor(MEAN),
}
"""The mean shift from a picture in [-1, 1] to one in [0, 1] minus the mean colour."""


class CiaoSRLayout:
    """See the module; a `Layout`."""

    def spec_of(
        self, public: Tensors, public_spec: PublicSpec | None, as_published: bool
    ) -> NetworkSpec | None:
        encoder = _encoder(public)
        if QUERY not in public or encoder is None:
            return None
        non_local = any(name.startswith(f"{PREFIX}cs_attn.") for name in public)
        head = {
            "hidden": shape_of(public, QUERY, 2)[0],
            "non_local": non_local,
            "window": None,
            "released_quirks": True,
        }
        args = {"encoder": encoder, "head": {"name": "ciaosr", "args": head}}
        return NetworkSpec("composed", args)

    def writes(self, spec: NetworkSpec) -> bool:
        if spec.name != "composed" or spec.args["head"]["name"] != "ciaosr":
            return False
        anysr = spec.args["encoder"].get("args", {}).get("anysr") or {}
        head = spec.args["head"].get("args", {})
        plain = anysr.get("enhancement") == "none" and len(anysr["widths"]) == 1
        quirks = anysr.get("released_quirks") and head.get("released_quirks")
        return bool(plain and quirks and head.get("attention", True))

    def name_of(self, spec: NetworkSpec, ours: str) -> str:
        module, _, kind = ours.rpartition(".")
        for public, own in NAMES:
            pattern = re.escape(own).replace(r"\{\}", r"(\d+)")
            if found := re.fullmatch(pattern, module):
                return f"{PREFIX}{public.format(*found.groups())}.{kind}"
        raise ValueError(f"no public CiaoSR network has a tensor such as {ours!r}")

    def shaped(self, spec: NetworkSpec, ours: str, tensor: Tensor) -> Tensor:
        return tensor

    def unused(self, spec: NetworkSpec) -> Tensors:
        return CONSTANTS if spec.args["head"]["args"].get("non_local", True) else {}

    def implied(self, spec: NetworkSpec) -> Tensors:
        return SHIFT

    def file_of(self, spec: NetworkSpec, public: Tensors, path: str) -> Mapping[str, Any]:
        return {"meta": {}, "state_dict": dict(public)}


def _encoder(public: Tensors) -> dict[str, Any] | None:
    names = {name.removeprefix(PREFIX) for name in public if name.startswith(PREFIX)}
    if "conv_first.weight" in names:
        kind, first = "edsr", "conv_first"
        sizes = {"blocks": _count(names, r"body\.(\d+)\.")}
    elif "sfe1.weight" in names:
        kind, first = "rdn", "sfe1"
        layers = _count(names, r"rdbs\.0\.layers\.(\d+)\.")
        sizes = {"blocks": _count(names, r"rdbs\.(\d+)\."), "layers": layers}
    else:
        return None
    channels = shape_of(public, f"{PREFIX}{first}.weight", 4)[0]
    slicing = {"widths": [channels], "enhancement": "none", "released_quirks": True}
    return {"name": kind, "args": {"channels": channels, **sizes, "anysr": slicing}}


def _count(names: set[str], pattern: str) -> int:
    """Return the number of distinct matches of `pattern`'s group."""
    found = (re.match(pattern, name) for name in names)
    return len({match.group(1) for match in found if match})
