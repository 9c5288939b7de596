"""The catalog's record of a foreign graph: its names, sizes and numbers. Needs no torch."""

from __future__ import annotations

from enum import StrEnum
from functools import cached_property
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from models.adapters.patches import Patching

LARGEST_SCALE = 8
"""As for every model."""
MOST_MULTIPLE = 64
MOST_SIDE = 4096

PerChannel = Annotated[tuple[float, ...], Field(min_length=1, max_length=3)]


class Colours(StrEnum):
    """What the channels of a graph are."""

    RGB = "rgb"
    BGR = "bgr"
    LUMA = "y"
    """One channel: BT.601 luma of full range. The colours are resampled."""

    @property
    def channels(self) -> int:
        return 1 if self is Colours.LUMA else 3


class Adapter(BaseModel):
    """How a foreign graph is run: [1, C, H, W] -> [1, C, scale H - 2 crop, scale W - 2 crop]."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: str = Field(min_length=1)
    output: str = Field(min_length=1)
    scale: int = Field(ge=2, le=LARGEST_SCALE)
    colours: Colours = Colours.RGB
    half: bool = False
    """Whether the input is float16."""
    range: float = Field(default=1.0, gt=0, le=65535)
    """The input's number for white, before `mean` and `std`; black is 0."""
    output_range: float = Field(default=1.0, gt=0, le=65535)
    """The output's number for white, after `mean` and `std`."""
    mean: PerChannel = (0.0,)
    """Subtracted from the input and added to the output, one number or one per channel in the
    graph's order."""
    std: PerChannel = (1.0,)
    """Divides the input and multiplies the output, likewise."""
    multiple: int = Field(default=1, ge=1, le=MOST_MULTIPLE)
    """The input's sides are multiples of it, and the graph treats all places alike that are
    multiples of it apart."""
    crop: int = Field(default=0, ge=0, le=MOST_SIDE)
    """Output pixels on each side that the graph does not make."""
    height: int | None = Field(default=None, ge=8, le=MOST_SIDE)
    """The only height that the graph accepts; None for any."""
    width: int | None = Field(default=None, ge=8, le=MOST_SIDE)
    overlap: int = Field(default=0, ge=0, le=MOST_SIDE)
    """Input pixels on each side of a patch of fixed size that are another patch's to keep."""
    pixel_bytes: int = Field(ge=1, le=1 << 30)
    """Working memory of the graph per input pixel, as measured."""
    parameters: int = Field(default=0, ge=0)
    """Numbers in its weights."""

    @field_validator("std")
    @classmethod
    def _no_zero(cls, std: tuple[float, ...]) -> tuple[float, ...]:
        if not all(std):
            raise ValueError("must not be 0")
        return std

    @model_validator(mode="after")
    def _consistent(self) -> Adapter:
        for numbers in (self.mean, self.std):
            if len(numbers) not in (1, self.colours.channels):
                raise ValueError(f"mean and std have 1 or {self.colours.channels} numbers")
        _ = self.patching  # raises ValueError for sizes that no window can be cut into
        return self

    @cached_property
    def patching(self) -> Patching:
        """The sizes that the graph accepts."""
        margin = -(-self.crop // self.scale)
        return Patching(
            self.multiple, margin, self.overlap, self.height or 0, self.width or 0, foreign=True
        )
