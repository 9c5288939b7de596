"""The input and the output of a graph, as it declares them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from models.adapters.record import MOST_SIDE
from models.probing.refusal import NotServable

FLOATS = {"tensor(float)": False, "tensor(float16)": True}
"""Types of inputs, and whether they are half floats."""
LEAST_SIDE = 8


class Declared(Protocol):
    """An input or output, as ONNX Runtime describes it."""

    name: str
    type: str
    shape: Sequence[int | str | None]


@dataclass(frozen=True)
class Ports:
    """The input and the output that are used."""

    input: str
    output: str
    channels: int
    half: bool
    height: int | None
    """The only height; None for any."""
    width: int | None


def ports_of(
    inputs: Sequence[Declared], outputs: Sequence[Declared], wanted_output: str | None = None
) -> Ports:
    """Return the input of pictures and the output. Raises NotServable where there is not exactly
    one input of pictures, N x C x H x W."""
    if len(inputs) != 1:
        names = ", ".join(given.name[:40] for given in inputs[:8])
        raise NotServable(
            f"It has {len(inputs)} inputs ({names}); only one can be given: pictures."
        )
    [given] = inputs
    if given.type not in FLOATS:
        raise NotServable(f"Its input is {given.type}; it must be float or float16.")
    batch, channels, height, width = _picture(given)
    if isinstance(batch, int) and batch > 1:
        raise NotServable(f"Its input is {batch} pictures at once; it must be one.")
    return Ports(
        given.name,
        _output(outputs, wanted_output),
        channels,
        FLOATS[given.type],
        _side(height),
        _side(width),
    )


def _picture(
    given: Declared,
) -> tuple[int | str | None, int, int | str | None, int | str | None]:
    shape = list(given.shape)
    if len(shape) != 4:
        raise NotServable(f"Its input has the shape {_shown(shape)}, which is not N x C x H x W.")
    batch, channels, height, width = shape
    if width in (1, 3) and isinstance(width, int) and channels not in (1, 3):
        raise NotServable(f"Its input is {_shown(shape)}, N x H x W x C; it must be N x C x H x W.")
    if not isinstance(channels, int):
        channels = 3
    if channels not in (1, 3):
        raise NotServable(f"Its input has {channels} channels; it must have 3, or 1 for luma.")
    return batch, channels, height, width


def _side(declared: int | str | None) -> int | None:
    if not isinstance(declared, int) or declared <= 0:
        return None
    if not LEAST_SIDE <= declared <= MOST_SIDE:
        raise NotServable(
            f"Its input has a side of {declared}; fixed sides are from {LEAST_SIDE} to {MOST_SIDE}."
        )
    return declared


def _output(outputs: Sequence[Declared], wanted: str | None) -> str:
    names = [made.name for made in outputs]
    if wanted is not None and wanted not in names:
        raise NotServable(f"It has no output {wanted!r}; it has {', '.join(names[:8])}.")
    if wanted is None and len(names) != 1:
        raise NotServable(
            f"It has {len(names)} outputs ({', '.join(names[:8])}); name one with --output-name."
        )
    return wanted or names[0]


def _shown(shape: Sequence[int | str | None]) -> str:
    return f"[{', '.join(str(side)[:20] for side in shape)}]" if shape else "of any rank"
