"""Public CiaoSR checkpoints (EDSR-baseline and RDN) to our composed network, and back.

Only names differ, and the input: the public encoders see the picture less DIV2K's mean colour, ours
see it in [-1, 1]. The encoders' mean shift, which AnySR's released networks need as well, makes
the one of the other before anything is padded, so that the numbers are the same.

The names inside `cs_attn` are those of the public cross-scale attention (CSNLN), from which the
public code took it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

State = Mapping[str, Tensor]

MEAN = (0.4488, 0.4371, 0.4040)
"""The colour that the public networks subtract."""

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
"""Public module, ours; {} stands for a number."""

PREFIX = "generator."
"""What the public training framework puts before every name of the network."""
CONSTANTS = {"cs_attn.escape_NaN": torch.tensor([1e-4])}
"""Public buffers that are no weights."""
SHIFT = {
    "encoder.sub_mean.weight": 0.5 * torch.eye(3)[:, :, None, None],
    "encoder.sub_mean.bias": 0.5 - torch.tensor(MEAN),
}
"""Makes of a picture in [-1, 1] one in [0, 1] less the mean colour."""


def spec_of(public: State) -> dict[str, Any]:
    """Return the {name, args} spec of the network that a public checkpoint holds.

    Raises ValueError for an encoder that is neither EDSR nor RDN.
    """
    names = {_bare(name) for name in public}
    slicing = {"widths": [64], "enhancement": "none", "released_quirks": True}
    sizes: dict[str, int]
    if "conv_first.weight" in names:
        kind, sizes = "edsr", {"blocks": _count(names, r"body\.(\d+)\.")}
    elif "sfe1.weight" in names:
        kind = "rdn"
        sizes = {
            "blocks": _count(names, r"rdbs\.(\d+)\."),
            "layers": _count(names, r"rdbs\.0\.layers\.(\d+)\."),
        }
    else:
        raise ValueError("not a public CiaoSR checkpoint of EDSR or RDN: no first convolution")
    non_local = any(name.startswith("cs_attn.") for name in names)
    head = {"non_local": non_local, "window": None, "released_quirks": True}
    return {
        "name": "composed",
        "args": {
            "encoder": {"name": kind, "args": {**sizes, "anysr": slicing}},
            "head": {"name": "ciaosr", "args": head},
        },
    }


def from_public(public: State) -> dict[str, Tensor]:
    """Return our state dict; ValueError for a name that is not a CiaoSR network's."""
    ours = dict(SHIFT)
    for name, tensor in public.items():
        bare = _bare(name)
        if bare not in CONSTANTS:
            ours[_renamed(bare, NAMES)] = tensor
    return ours


def to_public(ours: State) -> dict[str, Tensor]:
    """Return the public state dict.

    Raises ValueError for a name that has no counterpart there, and for a mean shift that has been
    trained, for which there is no place.
    """
    back = tuple((own, public) for public, own in NAMES)
    public: dict[str, Tensor] = {}
    for name, tensor in ours.items():
        if name not in SHIFT:
            public[PREFIX + _renamed(name, back)] = tensor
        elif not torch.equal(tensor, SHIFT[name].to(tensor)):
            raise ValueError(f"{name} is not the public networks' mean colour")
    if any(name.startswith("head.cs_attn.") for name in ours):
        public |= {PREFIX + name: tensor for name, tensor in CONSTANTS.items()}
    return public


def _bare(name: str) -> str:
    return name.removeprefix("module.").removeprefix(PREFIX).removeprefix("encoder.")


def _renamed(name: str, names: tuple[tuple[str, str], ...]) -> str:
    module, _, kind = name.rpartition(".")
    for source, target in names:
        pattern = re.escape(source).replace(r"\{\}", r"(\d+)")
        if found := re.fullmatch(pattern, module):
            return f"{target.format(*found.groups())}.{kind}"
    raise ValueError(f"unknown parameter {name!r} in a CiaoSR checkpoint")


def _count(names: set[str], pattern: str) -> int:
    found = (re.match(pattern, name) for name in names)
    return 1 + max(int(match.group(1)) for match in found if match)
