"""Parameters of a request, and their validation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Annotated, ClassVar, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
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
from jobs.formats import DEFAULT_QUALITY, WRITTEN, ImageFormat, lossless_labels, lossy_labels
from jobs.job import WHITE, MetadataChoice, OnMiss
from scheduling.literals import INTEGER, NUMBER, SWITCH

MOST_PIXELS_OF_AN_AXIS = 1_000_000
"""Far above every limit; keeps the arithmetic on sizes within a float."""

LONGEST_ECHO = 60
"""Characters of a caller's own text that an error message repeats."""

AUTO: Literal["auto"] = "auto"
"""Value of `strength` that stands for the compression in the picture's header, and of `format` for
the caller's Accept header."""

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False), NUMBER]
Width = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False), NUMBER]
Strength = Annotated[
    Annotated[float, Field(ge=0, le=1, allow_inf_nan=False), NUMBER] | None,
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


def _written(image_format: ImageFormat) -> ImageFormat:
    if not image_format.written:
        raise ValueError(f"{image_format.label} is read alone")
    return image_format


WrittenFormat = Annotated[
    ImageFormat,
    AfterValidator(_written),
    WithJsonSchema({"type": "string", "enum": [f.value for f in WRITTEN]}),
]
OutputFormat = Annotated[
    WrittenFormat | Literal["auto"],
    WithJsonSchema({"type": "string", "enum": [AUTO, *(f.value for f in WRITTEN)]}),
]
MOST_FRAMES = 1_000_000
"""Far above every file's number of frames."""
Background = Annotated[str, Field(pattern="^[0-9a-fA-F]{6}$")]
Pixels = Annotated[int, Field(ge=1, le=MOST_PIXELS_OF_AN_AXIS), INTEGER]


class OutputRequest(BaseModel):
    """Parameters of the output, shared by requests with and without a picture. The size is given
    in exactly one of three ways."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sides: ClassVar[tuple[str, str]] = ("width", "height")
    """Names of the parameters for the output's size in pixels."""
    allowed: ClassVar[Mapping[str, str]] = {"strength": f"{AUTO} or a number from 0 to 1"}
    """Allowed values of parameters of several types: pydantic reports one fault per type."""

    scale: Positive | None = Field(
        None,
        description="Output size / input size: any real number from 1 to 8.",
        examples=[2.37],
    )
    scale_h: Positive | None = Field(
        None, description="The scale of the height; needs `scale_w`.", examples=[2.0]
    )
    scale_w: Positive | None = Field(
        None, description="The scale of the width; needs `scale_h`.", examples=[3.0]
    )
    on_miss: OnMiss = Field(
        OnMiss.DEGRADE,
        description="When the deadline cannot be met: `degrade` sends a picture anyway, resampled "
        "or late; `reject` answers 504.",
    )
    model: str | None = Field(
        None,
        description="A name from `GET /models`. Without it the service chooses among all models; "
        "if `anysr_width` pins a width, it takes the default one.",
    )
    anysr_width: Width | None = Field(
        None, description="The network width to run at: a fraction from `GET /models`."
    )
    min_db: Annotated[float, Field(gt=0, le=100, allow_inf_nan=False), NUMBER] | None = Field(
        None,
        description="Least expected PSNR-Y of this picture, in dB; 422 `quality_infeasible` where "
        "no allowed network is expected to reach it. Admission plans with the mean over "
        "photographs that `GET /models` lists.",
    )
    min_width: Width | None = Field(
        None,
        description="Least network width that may run: a fraction as in `GET /models`.",
    )

    @model_validator(mode="after")
    def one_way_to_size(self) -> Self:
        """Raise ValueError unless exactly one size is given, and in full."""
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
    """Parameters of a request that sends its picture."""

    allowed: ClassVar[Mapping[str, str]] = {
        **OutputRequest.allowed,
        "format": f"{AUTO}, {', '.join(WRITTEN)}",
        "background": "a colour as RRGGBB, such as ffffff",
    }

    width: Pixels | None = Field(
        None,
        description="Output width in pixels; alone it keeps the aspect ratio.",
        examples=[1920],
    )
    height: Pixels | None = Field(
        None, description="Output height in pixels; alone it keeps the aspect ratio."
    )
    latency_budget_ms: Positive | None = Field(
        None,
        description="Milliseconds from the end of the upload to the finished answer. Without it, "
        "the service takes what this picture needs.",
        examples=[1500],
    )
    strength: Strength = Field(
        None,
        description="How much compression damage to clean up: `auto` follows the compression in "
        "the file's header; a number is from 0 (none) to 1 (as for JPEG at quality 30).",
        json_schema_extra={"default": AUTO},
    )
    format: OutputFormat | None = Field(
        None,
        description="Format of the output; by default that of the input or, where it is only read, "
        "the one in `GET /models`. `auto`: the best by the request's Accept header.",
    )
    quality: Annotated[int, Field(ge=1, le=100), INTEGER] | None = Field(
        None, description=f"1 to 100, for {lossy_labels()}; by default {DEFAULT_QUALITY}."
    )
    metadata: MetadataChoice = Field(
        MetadataChoice.COPYRIGHT,
        description="What to take over of the file's metadata: `keep` all that stays true, "
        "`copyright` author, copyright, licence and resolution alone, `none` nothing. The colour "
        "profile is always kept.",
    )
    lossless: Annotated[bool, SWITCH] | None = Field(
        None,
        description=f"`true` stores {lossless_labels()} without loss, `false` with it. By default "
        "a lossless picture stays lossless in its own format, unless `quality` is given.",
    )

    frame: Annotated[int, Field(ge=0, lt=MOST_FRAMES), INTEGER] | None = Field(
        None,
        description="Which frame of an animated GIF, WebP, PNG, AVIF or JPEG XL, or which page of "
        "a TIFF; 0 is the first. Without it an animation is refused, and the first page is taken.",
    )
    background: Background = Field(
        WHITE,
        description="What transparency is flattened on for JPEG: a colour of sRGB as RRGGBB, in "
        "hexadecimal.",
    )

    @model_validator(mode="after")
    def loss_or_quality(self) -> Self:
        """Raise ValueError for a quality without loss."""
        if self.lossless and self.quality is not None:
            raise ValueError("give quality or lossless=true, not both")
        return self


def check_one_destination(result: str | None, result_url: str | None) -> None:
    """Raise ValueError for two places of one picture."""
    if result is not None and result_url is not None:
        raise ValueError("give result or result_url, not both")


class DeferredRequest(UpscaleRequest):
    """Parameters of a request that sends its picture and fetches the result later."""

    webhook_url: Annotated[str, Field(min_length=1)] | None = Field(
        None,
        description="URL to which the job's end is announced by a signed POST.",
        examples=["https://example.com/hooks/anysr"],
    )
    result: Annotated[str, Field(min_length=1)] | None = Field(
        None,
        description="Where the picture is put: `s3://bucket/key` of a bucket in `ANYSR_BUCKETS`.",
        examples=["s3://pictures/out/a.png"],
    )
    result_url: Annotated[str, Field(min_length=1)] | None = Field(
        None,
        description="URL to which the picture is PUT, such as a presigned one; its host must be "
        "in `ANYSR_RESULT_HOSTS`.",
        examples=["https://pictures.s3.eu-central-1.amazonaws.com/a.png?X-Amz-Signature=..."],
    )

    durable: Annotated[bool, SWITCH] | None = Field(
        None,
        description="Whether the answer comes only once the job is on the queue's disk, so that no "
        "loss of power loses it; by default as the service is set (`ANYSR_DURABLE`).",
    )

    @model_validator(mode="after")
    def one_destination(self) -> Self:
        """Raise ValueError for two."""
        check_one_destination(self.result, self.result_url)
        return self


class EstimateRequest(OutputRequest):
    """Parameters of a request that describes its picture instead of sending it."""

    sides: ClassVar[tuple[str, str]] = ("output_width", "output_height")
    allowed: ClassVar[Mapping[str, str]] = {
        **OutputRequest.allowed,
        "output_format": ", ".join(WRITTEN),
    }

    width: Pixels = Field(
        description="Width in pixels of the picture as displayed, after its EXIF orientation.",
        examples=[4000],
    )
    height: Pixels = Field(description="Height in pixels of the picture.", examples=[3000])
    format: ImageFormat = Field(description="Format of the picture.", examples=["jpeg"])
    output_width: Pixels | None = Field(
        None, description="Output width in pixels; alone it keeps the aspect ratio."
    )
    output_height: Pixels | None = Field(
        None, description="Output height in pixels; alone it keeps the aspect ratio."
    )
    output_format: WrittenFormat | None = Field(
        None, description="Format of the output; by default that of the picture."
    )
    strength: Strength = Field(
        None,
        description="How much compression damage to clean up: a number from 0 (none) to 1 (as for "
        "JPEG at quality 30), or `auto`: what is usual for the format, none for a lossless one.",
        json_schema_extra={"default": AUTO},
    )

    def with_picture(self) -> UpscaleRequest:
        """Return the parameters of the same request with its picture."""
        same = OutputRequest.model_fields.keys()
        return UpscaleRequest(
            **{name: getattr(self, name) for name in same},
            width=self.output_width,
            height=self.output_height,
            strength=self.strength,
            format=self.output_format,
        )

    def header(self) -> ImageHeader:
        """Return the picture's header, with the usual compression of its format."""
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


PARAMETERS = tuple(DeferredRequest.model_fields)
OF_JOBS_ALONE = DeferredRequest.model_fields.keys() - UpscaleRequest.model_fields.keys()

RequestT = TypeVar("RequestT", bound=OutputRequest)


def parse_request(
    pairs: Iterable[tuple[str, str]], kind: type[UpscaleRequest] = UpscaleRequest
) -> UpscaleRequest:
    """Parse the parameters of an upscaling, of this kind, from the pairs of a query or a form.

    Raises InvalidRequest, whose detail names each wrong parameter and its allowed values.
    """
    return _parsed(kind, pairs)


def parse_estimate(pairs: Iterable[tuple[str, str]]) -> EstimateRequest:
    """Parse the parameters of an estimate from the pairs of a query. Raises as `parse_request`."""
    return _parsed(EstimateRequest, pairs)


def _parsed(kind: type[RequestT], pairs: Iterable[tuple[str, str]]) -> RequestT:
    given = list(pairs)
    twice = [name for name, count in Counter(name for name, _ in given).items() if count > 1]
    if twice:
        raise InvalidRequest(
            f"{shown(twice[0])} is given more than once; give it once, in the query or in the form."
        )
    try:
        return kind.model_validate(dict(given))
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False)
        sentences = dict.fromkeys(_sentence(fault, kind) for fault in faults[:5])
        raise InvalidRequest("; ".join(sentences) + ".") from None


def shown(text: str) -> str:
    """Return a caller's own text in quotes, cut to `LONGEST_ECHO` characters."""
    return repr(text if len(text) <= LONGEST_ECHO else text[:LONGEST_ECHO] + "…")


def _sentence(fault: ErrorDetails, kind: type[OutputRequest]) -> str:
    """Return a fault as a clause for the error's detail."""
    name = str(fault["loc"][0]) if fault["loc"] else ""
    if fault["type"] == "extra_forbidden" and kind is UpscaleRequest and name in OF_JOBS_ALONE:
        return f"{name} is a parameter of POST /jobs alone"
    if fault["type"] == "extra_forbidden":
        return f"unknown parameter {shown(name)}; the parameters are {', '.join(kind.model_fields)}"
    if fault["type"] == "missing":
        return f"{name} is missing"
    text = fault["msg"].removeprefix("Value error, ")
    if not name:
        return text
    if name in kind.allowed:
        return f"{name} must be {kind.allowed[name]}, got {shown(str(fault['input']))}"
    return f"{name}: {text[:1].lower()}{text[1:]}, got {shown(str(fault['input']))}"
