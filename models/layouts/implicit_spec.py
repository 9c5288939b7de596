"""The {name, args} by which the code of LIIF, SRNO and AnySR builds a network, in their files.

Tensors do not show by what factor residual blocks are scaled (`res_scale`), nor whether LIIF blends
four neighbours; the arguments do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from models.layouts.base import ConversionError, PublicSpec, word
from models.spec import NetworkSpec

Choice = TypeVar("Choice")

HEADS = {"liif": "liif", "metasr": "metasr", "sronet": "srno"}
"""Our names of the heads by their public names."""
ENCODERS = {
    "edsr-baseline": ("edsr", False),
    "edsr": ("edsr", False),
    "rdn": ("rdn", False),
    "edsr-anysr-baseline": ("edsr", True),
    "edsr-anysr": ("edsr", True),
    "rdn-anysr": ("rdn", True),
}
"""Our names of the encoders by their public names, and whether the blocks are AnySR's."""
LARGE_EDSR, LARGE_SCALING = (256, 32), 0.1
"""Channels, blocks and factor of EDSR itself, where EDSR-baseline scales nothing."""
LIIF_SWITCHES = ("local_ensemble", "feat_unfold", "cell_decode")
"""Switches of LIIF's code. All are on in the published networks, and always in ours."""


@dataclass(frozen=True)
class Built:
    """The arguments of a public network that matter for ours."""

    head: str
    encoder: str
    anysr: bool
    res_scale: float = 1.0
    """Factor of the residual blocks of EDSR. AnySR's code stores it and uses 1."""


def built(public_spec: PublicSpec) -> Built:
    """Return how a file's network is built; ConversionError if ours cannot be built so."""
    args = _mapping(public_spec.get("args"), "args")
    head = _known(HEADS, public_spec.get("name"), "network")
    inner = _mapping(args.get("encoder_spec"), "encoder_spec")
    encoder, anysr = _known(ENCODERS, inner.get("name"), "encoder")
    if head == "liif":
        _check_switches(args)
    usual = LARGE_SCALING if inner["name"] == "edsr" else 1
    factor = _mapping(inner.get("args", {}), "args").get("res_scale", usual)
    if anysr or encoder == "rdn":
        return Built(head, encoder, anysr)
    if not isinstance(factor, float | int) or not 0 < factor <= 1:
        raise ConversionError(f"its res_scale is {word(factor)}, and must be within 0 and 1")
    return Built(head, encoder, anysr, float(factor))


def published(encoder: Mapping[str, Any], head: str) -> Built:
    """Return how its authors published a network with this encoder."""
    args = encoder["args"]
    anysr = "anysr" in args
    large = encoder["name"] == "edsr" and (args["channels"], args["blocks"]) == LARGE_EDSR
    return Built(head, encoder["name"], anysr, LARGE_SCALING if large and not anysr else 1.0)


def public_spec_of(spec: NetworkSpec, path: str) -> Mapping[str, Any]:
    """Return the {name, args} by which public code builds one of our networks.

    AnySR's code starts its encoder from the weights at a path, so `path`, that of the file itself,
    is added for it. Raises ConversionError if public code builds no network of these sizes.
    """
    encoder, head = spec.args["encoder"], spec.args["head"]
    kind, args = head["name"], head.get("args", {})
    known = {ours: theirs for theirs, ours in HEADS.items()}
    anysr = encoder.get("args", {}).get("anysr") is not None
    inner = _encoder(encoder, anysr, path)
    sizes = {
        "liif": {"imnet_spec": _imnet(args.get("hidden", 256), args.get("layers", 4))},
        "metasr": {},
        "srno": {"width": 256, "blocks": args.get("heads", 16)},
    }[kind]
    features = encoder.get("args", {}).get("channels", 64)
    fits = {
        "liif": True,
        "metasr": args.get("hidden", 256) == 256,
        "srno": (features, args.get("channels", 256), args.get("blocks", 2)) == (64, 256, 2),
    }[kind]
    if not fits or (anysr and (kind != "srno" or features != 64)):
        raise ConversionError(f"the public code builds no {kind} head of these sizes")
    public = {"name": known[kind], "args": {"encoder_spec": inner, **sizes}}
    return {**public, "path": path} if anysr else public


def _encoder(encoder: Mapping[str, Any], anysr: bool, path: str) -> Mapping[str, Any]:
    args = encoder.get("args", {})
    channels, blocks = args.get("channels", 64), args.get("blocks", 16)
    if encoder["name"] == "rdn":
        if (channels, blocks, args.get("layers", 8)) != (64, 16, 8):
            raise ConversionError("the public code builds no RDN of these sizes")
        name, sizes = "rdn-anysr" if anysr else "rdn", {}
    else:
        name = "edsr-anysr-baseline" if anysr else "edsr-baseline"
        sizes = {"n_resblocks": blocks, "n_feats": channels}
        if not anysr:
            sizes["res_scale"] = args.get("res_scale", 1)
    spec = {"name": name, "args": {"no_upsampling": True, **sizes}}
    return {**spec, "path": path} if anysr else spec


def _imnet(hidden: int, layers: int) -> Mapping[str, Any]:
    return {"name": "mlp", "args": {"out_dim": 3, "hidden_list": [hidden] * layers}}


def _check_switches(args: Mapping[str, Any]) -> None:
    for switch in LIIF_SWITCHES:
        if args.get(switch, True) is not True:
            raise ConversionError(
                f"its LIIF has {switch} = {word(args[switch])}; ours always has {switch}"
            )


def _mapping(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ConversionError(
            f"the file's description of its network is wrong: {what} is {word(value)}"
        )
    return value


def _known(known: Mapping[str, Choice], name: object, what: str) -> Choice:
    if not isinstance(name, str) or name not in known:
        names = ", ".join(known)
        raise ConversionError(f"the file says that its {what} is {word(name)}; known: {names}")
    return known[name]
