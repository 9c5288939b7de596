"""The model zoo: every network of the papers by name. Needs no torch.

`anysr models` lists them and `anysr train --network` takes their names. To add one, append its spec
to `ZOO`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models.spec import NetworkSpec

Part = Mapping[str, Any]

PAPER_WIDTHS = (32, 44, 57, 64)
"""AnySR's 0.5, 0.7, 0.9 and 1 of 64 channels."""
RELEASED_RDN_WIDTHS = (44, 51, 57, 64)
"""The released RDN's 0.7, 0.8, 0.9 and 1."""


def anysr(encoder: str, widths: tuple[int, ...] = PAPER_WIDTHS, **more: Any) -> Part:
    """Return the spec of an encoder with AnySR's blocks; `more` is of `Slicing`."""
    pairs = {"edsr": 4, "rdn": 8, "fpen": 4}[encoder]
    slicing = {"widths": list(widths), "pairs": pairs, **more}
    return {"name": encoder, "args": {"anysr": slicing}}


def composed(encoder: Part, head: str, /, **args: Any) -> NetworkSpec:
    """Return the spec of an encoder with a head."""
    return NetworkSpec("composed", {"encoder": encoder, "head": {"name": head, "args": args}})


ENCODERS: Mapping[str, Part] = {
    "edsr": {"name": "edsr", "args": {}},
    "rdn": {"name": "rdn", "args": {}},
    "anysr-edsr": anysr("edsr"),
    "anysr-rdn": anysr("rdn"),
    "anysr-rdn-released": anysr("rdn", RELEASED_RDN_WIDTHS),
}

ZOO: Mapping[str, NetworkSpec] = {
    **{
        f"{name}-{head}": composed(encoder, head)
        for name, encoder in ENCODERS.items()
        for head in ("metasr", "liif", "arbsr", "srno")
    },
    # The ablations of AnySR's Table 4.
    "anysr-edsr-srno-without-ase": composed(anysr("edsr", enhancement="none"), "srno"),
    "anysr-edsr-srno-without-fi": composed(anysr("edsr", enhancement="concatenation"), "srno"),
    **{f"defian-s-x{scale}": NetworkSpec("defian", {"scale": scale}) for scale in (2, 3, 4)},
    **{
        f"defian-l-x{scale}": NetworkSpec(
            "defian", {"scale": scale, "channels": 64, "modules": 10, "blocks": 20}
        )
        for scale in (2, 3, 4)
    },
    **{
        f"{encoder}-ciaosr": composed(ENCODERS[encoder], "ciaosr")
        for encoder in ("edsr", "rdn", "anysr-edsr")
    },
    "edsr-ciaosr-without-non-local": composed(ENCODERS["edsr"], "ciaosr", non_local=False),
    "edsr-ciaosr-without-attention": composed(ENCODERS["edsr"], "ciaosr", attention=False),
    "fpen-pica-liif": composed({"name": "fpen", "args": {}}, "pica", head={"name": "liif"}),
    # The ablation of FPEN's Table 3.
    "edsr-pica-liif": composed(ENCODERS["edsr"], "pica", head={"name": "liif"}),
    # AnySR's slicing of a third encoder.
    "anysr-fpen-pica-liif": composed(anysr("fpen"), "pica", head={"name": "liif"}),
    **{f"gidrn-x{scale}": NetworkSpec("gidrn", {"scale": scale}) for scale in (2, 3, 4)},
}
