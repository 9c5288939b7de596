"""Options of an upscaling and of an estimate, and the query that they become."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypedDict

OnMiss = Literal["degrade", "reject"]
Metadata = Literal["keep", "copyright", "none"]


class OutputOptions(TypedDict, total=False):
    """What picture is wanted, and from which network."""

    scale: float
    """Output size / input size: any real number from 1 to 8."""
    scale_h: float
    """The scale of the height; needs `scale_w`."""
    scale_w: float
    on_miss: OnMiss
    """When the deadline cannot be met: a picture anyway, resampled or late, or an error."""
    model: str
    """A name from `models()`; by default the service chooses."""
    anysr_width: float
    """The network width to run at: a fraction from `models()`."""
    min_width: float
    """Least network width that may run."""
    min_db: float
    """Least expected PSNR-Y of this picture, in dB."""
    strength: float | Literal["auto"]
    """How much compression damage to clean up, 0 to 1; `auto` follows the file's header."""


class Options(OutputOptions, total=False):
    """Options of a request that sends its picture. One of `scale`, `scale_h` with `scale_w`, and
    `width` and/or `height` is needed."""

    width: int
    """Output width in pixels; alone it keeps the aspect ratio."""
    height: int
    budget: float
    """Latency budget in seconds, from the end of the upload to the finished answer; by default
    what the picture needs, or what remains until the deadline."""
    format: str
    """Format of the output: `png`, `jpeg`, `webp`, `avif`, `jxl`, `tiff`."""
    quality: int
    """1 to 100, for lossy formats."""
    lossless: bool
    metadata: Metadata
    """What to take over of the file's metadata."""
    frame: int
    """Which frame of an animation, or page of a TIFF, counted from 0."""
    background: str
    """What transparency is flattened on for JPEG: RRGGBB."""


class JobOptions(Options, total=False):
    """Options of a request whose picture is fetched later."""

    webhook_url: str
    """URL to which the job's end is announced."""
    result: str
    """`s3://bucket/key` where the service puts the picture."""
    result_url: str
    """URL to which the service PUTs the picture."""
    durable: bool
    """Whether the answer comes only once the job is on the queue's disk."""


class EstimateOptions(OutputOptions, total=False):
    """Options of a request that describes its picture. `width`, `height` and `format` are those of
    the picture, and needed; the output's size goes by the scales or in pixels."""

    width: int
    height: int
    format: str
    output_width: int
    output_height: int
    output_format: str


BUDGET = "latency_budget_ms"


def query_of(options: Mapping[str, object], kind: type) -> dict[str, str]:
    """Return the query of options. None stands for the default. Raises TypeError for a name that
    is no option, as a call with an unknown keyword does."""
    known = kind.__annotations__
    for name in options:
        if name not in known:
            raise TypeError(f"{name!r} is no option; the options are {', '.join(known)}")
    given = {name: value for name, value in options.items() if value is not None}
    return {name: _text(value) for name, value in given.items() if name != "budget"}


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
