"""The explicit lists of networks and their parts, and how a {name, args} spec becomes one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from models.architectures.composed import Composed
from models.architectures.conditioned import Conditioned
from models.architectures.defian import DeFiAN
from models.architectures.encoders.edsr import EDSR
from models.architectures.encoders.fpen import FPEN
from models.architectures.encoders.rdn import RDN
from models.architectures.gidrn import GIDRN
from models.architectures.heads.arbsr import ArbSR
from models.architectures.heads.ciaosr import CiaoSR
from models.architectures.heads.liif import LIIF
from models.architectures.heads.metasr import MetaSR
from models.architectures.heads.pica import PixelContinuityHead
from models.architectures.heads.srno import SRNO
from models.architectures.heads.tensor_product import TensorProductHead
from models.architectures.network import Encoder, Head, Network
from models.architectures.plain import Plain
from models.spec import NetworkSpec

Part = TypeVar("Part")

ENCODERS: Mapping[str, Callable[..., Encoder]] = {
    "edsr": EDSR,
    "rdn": RDN,
    "fpen": FPEN,
}


def with_pica(features: int, head: Mapping[str, Any], **args: Any) -> PixelContinuityHead:
    """Build PiCA before the head of a {name, args} spec; ValueError for an unknown name."""
    make_head = _of("head", HEADS, head["name"])
    return PixelContinuityHead(features, make_head(features, **head.get("args", {})), **args)


HEADS: Mapping[str, Callable[..., Head]] = {
    "tensor_product": TensorProductHead,
    "metasr": MetaSR,
    "liif": LIIF,
    "arbsr": ArbSR,
    "srno": SRNO,
    "ciaosr": CiaoSR,
    "pica": with_pica,
}
"""Built with the encoder's number of features first, then the args of its spec."""


def compose(encoder: Mapping[str, Any], head: Mapping[str, Any]) -> Composed:
    """Build a network of the {name, args} specs of its parts; ValueError for unknown names."""
    part = _of("encoder", ENCODERS, encoder["name"])(**encoder.get("args", {}))
    make_head = _of("head", HEADS, head["name"])
    return Composed(part, make_head(part.features, **head.get("args", {})))


NETWORKS: Mapping[str, Callable[..., Network]] = {
    "conditioned": Conditioned,
    "plain": Plain,
    "composed": compose,
    "defian": DeFiAN,
    "gidrn": GIDRN,
}


def build_network(spec: NetworkSpec) -> Network:
    """Return a freshly initialised network; ValueError for a name that is not listed."""
    return _of("network", NETWORKS, spec.name)(**spec.args)


def _of(kind: str, known: Mapping[str, Part], name: str) -> Part:
    if name not in known:
        raise ValueError(f"unknown {kind} {name!r}; known: {', '.join(known)}")
    return known[name]
