"""All that is found of a foreign graph: the record that a catalog keeps, and sentences on it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from models.adapters.enlarging import WrongOutput, enlarge
from models.adapters.record import Adapter, Colours, PerChannel
from models.adapters.values import FloatArray, luma_of
from models.catalog import MOST_RIM
from models.drawn import drawings
from models.geometry import AxisGrid
from models.probing.geometry import Run, find_geometry
from models.probing.locality import Locality, context_of, find_locality
from models.probing.memory import find_pixel_bytes
from models.probing.numbers import find_numbers
from models.probing.ports import Ports
from models.probing.refusal import NotServable
from models.rim import Colour, Rim, find_rim

LANCZOS_REACH = 4
"""Input pixels around an output pixel's nearest one that resampling reads: three, and one for the
distance from its centre."""
FLAT: Sequence[Colour] = ((250, 240, 10), (0, 255, 255), (0, 0, 255), (255, 255, 255), (128,) * 3)
"""Colours with which the rim is measured: those that zero padding changes most, and grey."""
DRAWN_SIDE = 96

Say = Callable[[str], None]


class Stated(BaseModel):
    """What the person who adds a graph states; None is found by measurement."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    scale: int | None = None
    output: str | None = None
    colours: Colours | None = None
    range: float | None = None
    output_range: float | None = None
    mean: PerChannel = (0.0,)
    std: PerChannel = (1.0,)
    multiple: int | None = None
    height: int | None = None
    width: int | None = None
    halo: int | None = None


class Findings(BaseModel):
    """What is known of a graph afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    adapter: Adapter
    halo: int | None
    """As in the catalog: reach of the graph and of resampling."""
    rim: int


def probe(
    run: Run, ports: Ports, stated: Stated, parameters: int, resting: int, say: Say
) -> Findings:
    """Return what is found of a graph by running it; `resting` is the memory of the process before
    its first run. Each finding is said in a line. Raises NotServable."""
    ports = replace(ports, height=stated.height or ports.height, width=stated.width or ports.width)
    say(f"input {ports.input}, {_described(ports)}; output {ports.output}")
    geometry = find_geometry(run, ports, stated.scale)
    multiple = stated.multiple or geometry.multiple
    say(f"scale {geometry.scale}; sides of {_accepted(ports, multiple)}{_cropped(geometry.crop)}")
    margin = -(-geometry.crop // geometry.scale)
    draft = Adapter(
        input=ports.input,
        output=ports.output,
        scale=geometry.scale,
        colours=_colours(ports, stated),
        half=ports.half,
        mean=stated.mean,
        std=stated.std,
        multiple=multiple,
        crop=geometry.crop,
        height=ports.height,
        width=ports.width,
        overlap=margin,
        pixel_bytes=find_pixel_bytes(run, ports, multiple, resting),
        parameters=parameters,
    )
    say(f"about {draft.pixel_bytes} bytes of working memory per input pixel")
    try:
        return _measured(run, draft, stated, say)
    except WrongOutput as error:
        raise NotServable(f"{str(error)[:1].upper()}{str(error)[1:]}.") from error


def _measured(run: Run, draft: Adapter, stated: Stated, say: Say) -> Findings:
    picture = _picture(draft)
    numbers = find_numbers(
        lambda adapter, image: enlarge(image, adapter, run),
        *(draft, picture, stated.range, stated.output_range),
    )
    draft = changed(draft, range=numbers.range, output_range=numbers.output_range)
    say(
        f"{draft.colours.value} from 0 to {draft.range:g}, out from 0 to {draft.output_range:g}: "
        f"shrunk again, its output is {numbers.db:.1f} dB from its input"
    )
    locality = find_locality(functools.partial(enlarge, adapter=draft, run=run), draft, stated.halo)
    adapter, local = _cut(draft, locality)
    say(_locality_line(locality, local))
    halo = locality.halo + LANCZOS_REACH if local and locality.halo is not None else None
    rim = _rim(run, adapter, halo)
    say(f"with a rim of {rim.pixels} a flat colour changes by {rim.error:.1f} levels")
    return Findings(adapter=adapter, halo=halo, rim=rim.pixels)


def changed(adapter: Adapter, **fields: Any) -> Adapter:
    """Return an adapter with other values, validated."""
    return Adapter.model_validate({**adapter.model_dump(), **fields})


def _colours(ports: Ports, stated: Stated) -> Colours:
    usual = Colours.LUMA if ports.channels == 1 else Colours.RGB
    colours = stated.colours or usual
    if colours.channels != ports.channels:
        raise NotServable(f"It has {ports.channels} channels, which cannot be {colours.value}.")
    return colours


def _picture(adapter: Adapter) -> FloatArray:
    """Return a drawing [1, 3, H, W], made smooth as photographs are."""
    pixels = next(iter(drawings(1, DRAWN_SIDE)))
    planes = np.moveaxis(pixels.astype(np.float32) / np.float32(255), 2, 0)[None]
    margin = adapter.patching.margin
    sides = [own - 2 * margin if own else DRAWN_SIDE for own in (adapter.height, adapter.width)]
    return np.ascontiguousarray(planes[:, :, : sides[0], : sides[1]])


def _cut(draft: Adapter, locality: Locality) -> tuple[Adapter, bool]:
    """Return the adapter that cuts as the locality demands, and whether that is exact."""
    fixed = [side for side in (draft.height, draft.width) if side is not None]
    if not fixed:
        return changed(draft, multiple=locality.multiple), locality.halo is not None
    if locality.halo is not None and min(fixed) - 2 * locality.halo >= locality.multiple:
        exact = changed(draft, multiple=locality.multiple, overlap=locality.halo)
        return exact, True
    overlap = context_of(draft)
    return changed(draft, overlap=overlap), False


def _rim(run: Run, adapter: Adapter, halo: int | None) -> Rim:
    def enlarged(image: FloatArray, rows: AxisGrid, columns: AxisGrid) -> FloatArray:
        larger = enlarge(image, adapter, run)
        if adapter.colours is Colours.LUMA:  # the colours of a flat picture are flat
            larger = larger + (image - luma_of(image))[:, :, :1, :1]
        return larger[:, :, rows.index][:, :, :, columns.index]

    most = MOST_RIM if halo is None else min(halo, MOST_RIM)
    return find_rim([enlarged], adapter.scale, most, scales=(float(adapter.scale),), colours=FLAT)


def _described(ports: Ports) -> str:
    sides = " x ".join(str(side or "any") for side in (ports.height, ports.width))
    return f"{'float16' if ports.half else 'float32'}, {ports.channels} x {sides}"


def _accepted(ports: Ports, multiple: int) -> str:
    if ports.height and ports.width:
        return "the fixed size"
    return "any length" if multiple == 1 else f"multiples of {multiple}"


def _cropped(crop: int) -> str:
    return f"; {crop} output pixels on each side are not made" if crop else ""


def _locality_line(locality: Locality, exact: bool) -> str:
    if exact:
        places = f", alike at multiples of {locality.multiple}" if locality.multiple > 1 else ""
        return f"local: a pixel reaches {locality.halo} input pixels{places}"
    return (
        "not local within what tiles can overlap: a picture in several tiles differs from the "
        f"whole, for noise by up to {locality.levels:.1f} levels of 255"
    )
