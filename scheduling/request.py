"""What a caller may ask for, checked parameter by parameter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Annotated, ClassVar, Self, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import ErrorDetails

from images.compression import UNREAD_QUALITY
from images.header import ImageHeader
from jobs.errors import InvalidRequest
from jobs.formats import DEFAULT_QUALITY, ImageFormat, lossy_labels
from jobs.job import OnMiss

MOST_PIXELS_OF_AN_AXIS = 1_000_000
"""Far more than any limit allows; keeps the arithmetic on sizes within a float."""

LONGEST_ECHO = 60
"""Characters of a caller's own text that an error message repeats."""

AUTO = "auto"
"""The strength that is read from the picture's own header."""

ALLOWED = {"strength": f"{AUTO} or a number from 0 to 1"}
"""What a parameter of several kinds may be, where the checks say it of one kind at a time."""

Scale = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Strength = Annotated[
    Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None,
    BeforeValidator(lambda value: None if value == AUTO else value),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "const": AUTO},
                {"type": "number", "minimum": 0, "maximum": 1},
            ]
        }
    ),
]
Pixels = Annotated[int, Field(ge=1, le=MOST_PIXELS_OF_AN_AXIS)]


class OutputRequest(BaseModel):
    """What a request asks of the picture to be made, whether it brings the picture or not; the
    size is asked for in exactly one of three ways."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sides: ClassVar[tuple[str, str]] = ("width", "height")
    """The parameters that are the output's size in pixels."""

    scale: Scale | None = Field(
        None,
        description="Output size / input size: any real number from 1 to 8.",
        examples=[2.37],
    )
    scale_h: Scale | None = Field(
        None, description="The scale of the height; needs `scale_w`.", examples=[2.0]
    )
    scale_w: Scale | None = Field(
        None, description="The scale of the width; needs `scale_h`.", examples=[3.0]
    )
    on_miss: OnMiss = Field(
        OnMiss.DEGRADE,
        description="`degrade`: a picture all the same, resampled or late; `reject`: 504.",
    )
    model: str | None = Field(
        None,
        description="A name from `GET /models`; left out, the service chooses among all "
        "(the default one's width, if `anysr_width` pins one).",
    )
    anysr_width: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] | None = Field(
        None, description="Pins the network width: a fraction from `GET /models`."
    )
    min_db: Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)] | None = Field(
        None,
        description="The least PSNR-Y (dB) that must be expected of this picture; what is "
        "expected to be worse is not made (422 `quality_infeasible`). The budget is planned by "
        "the mean over photographs, as `GET /models` tells it.",
    )
    min_width: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] | None = Field(
        None,
        description="The least network width, a fraction as in `GET /models`; nothing narrower is "
        "made.",
    )

    @model_validator(mode="after")
    def one_way_to_size(self) -> Self:
        """Refuse a request that gives no size, half of one, or two of them."""
        by_axis = (self.scale_h, self.scale_w)
        if by_axis.count(None) == 1:
            raise ValueError("give both scale_h and scale_w, or scale alone")
        by_pixels = any(getattr(self, side) is not None for side in self.sides)
        ways = (self.scale is not None) + (None not in by_axis) + by_pixels
        if ways != 1:
            raise ValueError(
                f"give exactly one of scale, scale_h + scale_w, and {' and/or '.join(self.sides)}; "
                f"this request gives {'none' if ways == 0 else 'several'}"
            )
        return self


class UpscaleRequest(OutputRequest):
    """The parameters of a request that brings its picture."""

    width: Pixels | None = Field(
        None,
        description="Output width in pixels; alone it keeps the aspect ratio.",
        examples=[1920],
    )
    height: Pixels | None = Field(
        None, description="Output height in pixels; alone it keeps the aspect ratio."
    )
    latency_budget_ms: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = Field(
        None,
        description="Milliseconds from the end of the upload to the finished answer; left out, "
        "what this picture needs here.",
        examples=[1500],
    )
    strength: Strength = Field(
        None,
        description="How much compression damage to clean up: `auto` by what the file says of its "
        "compression, or a number from 0 (none) to 1 (as for JPEG at quality 30).",
        json_schema_extra={"default": AUTO},
    )
    format: ImageFormat | None = Field(
        None, description="Format of the output; that of the input if left out."
    )
    quality: Annotated[int, Field(ge=1, le=100)] | None = Field(
        None, description=f"1 to 100, for {lossy_labels()}; {DEFAULT_QUALITY} if left out."
    )


class EstimateRequest(OutputRequest):
    """The parameters of a request that describes its picture."""

    sides: ClassVar[tuple[str, str]] = ("output_width", "output_height")

    width: Pixels = Field(
        description="Width of the picture in pixels, as it is to be looked at.", examples=[4000]
    )
    height: Pixels = Field(description="Height of the picture in pixels.", examples=[3000])
    format: ImageFormat = Field(description="Format of the picture.", examples=["jpeg"])
    output_width: Pixels | None = Field(
        None, description="Output width in pixels; alone it keeps the aspect ratio."
    )
    output_height: Pixels | None = Field(
        None, description="Output height in pixels; alone it keeps the aspect ratio."
    )
    output_format: ImageFormat | None = Field(
        None, description="Format of the output; that of the picture if left out."
    )
    strength: Strength = Field(
        None,
        description="How much compression damage to clean up: a number from 0 (none) to 1 (as for "
        "JPEG at quality 30), or `auto`: what is usual for the format, none for a lossless one.",
        json_schema_extra={"default": AUTO},
    )

    def with_picture(self) -> UpscaleRequest:
        """Return what a request that brings the picture would ask."""
        same = OutputRequest.model_fields.keys()
        return UpscaleRequest(
            **{name: getattr(self, name) for name in same},
            width=self.output_width,
            height=self.output_height,
            strength=self.strength,
            format=self.output_format,
        )

    def header(self) -> ImageHeader:
        """Return what the picture's header would say; of its compression, what is usual."""
        quality = UNREAD_QUALITY if self.format.lossy else None
        return ImageHeader(
            format=self.format,
            width=self.width,
            height=self.height,
            orientation=1,
            bit_depth=8,
            mode="RGB",
            jpeg_quality=quality,
        )


PARAMETERS = tuple(UpscaleRequest.model_fields)

Asked = TypeVar("Asked", bound=OutputRequest)


def parse_request(pairs: Iterable[tuple[str, str]]) -> UpscaleRequest:
    """Read the parameters of an upscaling as they came in a query or a form.

    Raises InvalidRequest, whose detail names every parameter at fault and says what is allowed.
    """
    return _parsed(UpscaleRequest, pairs)


def parse_estimate(pairs: Iterable[tuple[str, str]]) -> EstimateRequest:
    """Read the parameters of an estimate as they came in a query. Raises as `parse_request`."""
    return _parsed(EstimateRequest, pairs)


def _parsed(kind: type[Asked], pairs: Iterable[tuple[str, str]]) -> Asked:
    given = list(pairs)
    twice = [name for name, count in Counter(name for name, _ in given).items() if count > 1]
    if twice:
        raise InvalidRequest(f"{shown(twice[0])} is given more than once; give it once.")
    try:
        return kind.model_validate(dict(given))
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False)
        sentences = [_sentence(fault, tuple(kind.model_fields)) for fault in faults[:5]]
        raise InvalidRequest("; ".join(sentences) + ".") from None


def shown(text: str) -> str:
    """Return a caller's own text in quotes, cut to what a message can bear."""
    return repr(text if len(text) <= LONGEST_ECHO else text[:LONGEST_ECHO] + "…")


def _sentence(fault: ErrorDetails, parameters: tuple[str, ...]) -> str:
    name = str(fault["loc"][0]) if fault["loc"] else ""
    if fault["type"] == "extra_forbidden":
        return f"unknown parameter {shown(name)}; the parameters are {', '.join(parameters)}"
    if fault["type"] == "missing":
        return f"{name} is missing"
    text = fault["msg"].removeprefix("Value error, ")
    if not name:
        return text
    if name in ALLOWED:
        return f"{name} must be {ALLOWED[name]}, got {shown(str(fault['input']))}"
    return f"{name}: {text[:1].lower()}{text[1:]}, got {shown(str(fault['input']))}"
