"""What a caller may ask for, checked parameter by parameter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Self

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

from jobs.errors import InvalidRequest
from jobs.job import ImageFormat, OnMiss

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


class UpscaleRequest(BaseModel):
    """The parameters of one request; the size is asked for in exactly one of three ways."""

    model_config = ConfigDict(extra="forbid", frozen=True)

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
        description="Milliseconds from the end of the upload to the finished answer.",
        examples=[1500],
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
        description="The least expected PSNR-Y (dB, as `GET /models` tells it); what is expected "
        "to be worse is not made.",
    )
    min_width: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] | None = Field(
        None,
        description="The least network width, a fraction as in `GET /models`; nothing narrower is "
        "made.",
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
        None, description="1 to 100, for JPEG, WebP and AVIF; 90 if left out."
    )

    @model_validator(mode="after")
    def one_way_to_size(self) -> Self:
        """Refuse a request that gives no size, half of one, or two of them."""
        by_axis = (self.scale_h, self.scale_w)
        if by_axis.count(None) == 1:
            raise ValueError("give both scale_h and scale_w, or scale alone")
        by_pixels = self.width is not None or self.height is not None
        ways = (self.scale is not None) + (None not in by_axis) + by_pixels
        if ways != 1:
            raise ValueError(
                "give exactly one of scale, scale_h + scale_w, and width and/or height; "
                f"this request gives {'none' if ways == 0 else 'several'}"
            )
        return self


PARAMETERS = tuple(UpscaleRequest.model_fields)


def parse_request(pairs: Iterable[tuple[str, str]]) -> UpscaleRequest:
    """Read the parameters as they came in a query or a form.

    Raises InvalidRequest, whose detail names every parameter at fault and says what is allowed.
    """
    given = list(pairs)
    twice = [name for name, count in Counter(name for name, _ in given).items() if count > 1]
    if twice:
        raise InvalidRequest(f"{shown(twice[0])} is given more than once; give it once.")
    try:
        return UpscaleRequest.model_validate(dict(given))
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False)
        raise InvalidRequest("; ".join(map(_sentence, faults[:5])) + ".") from None


def shown(text: str) -> str:
    """Return a caller's own text in quotes, cut to what a message can bear."""
    return repr(text if len(text) <= LONGEST_ECHO else text[:LONGEST_ECHO] + "…")


def _sentence(fault: ErrorDetails) -> str:
    name = str(fault["loc"][0]) if fault["loc"] else ""
    if fault["type"] == "extra_forbidden":
        return f"unknown parameter {shown(name)}; the parameters are {', '.join(PARAMETERS)}"
    text = fault["msg"].removeprefix("Value error, ")
    if not name:
        return text
    if name in ALLOWED:
        return f"{name} must be {ALLOWED[name]}, got {shown(str(fault['input']))}"
    return f"{name}: {text[:1].lower()}{text[1:]}, got {shown(str(fault['input']))}"
