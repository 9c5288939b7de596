"""The metadata of a picture, as its decoder hands it on and encoders write it."""

from __future__ import annotations

from dataclasses import dataclass

LARGEST_DENSITY = 1e9
"""Pixels per metre; the finest films have a hundredth of it."""
MAX_KEYWORD = 79


@dataclass(frozen=True)
class Density:
    """The resolution of a print: pixels per metre along each axis. Raises ValueError for values
    that are not above 0."""

    x: float
    y: float
    absolute: bool = True
    """Whether there is a unit; without one, the ratio of x and y alone counts."""

    def __post_init__(self) -> None:
        if not (0 < self.x <= LARGEST_DENSITY and 0 < self.y <= LARGEST_DENSITY):
            raise ValueError("no density")

    def turned(self) -> Density:
        """Return the density of the same picture turned by a quarter."""
        return Density(self.y, self.x, self.absolute)


@dataclass(frozen=True)
class Text:
    """A text with a keyword, as PNG has them (ISO/IEC 15948, 11.3.4). Raises ValueError for another
    keyword than PNG allows."""

    keyword: str
    """1 to MAX_KEYWORD characters of Latin-1."""
    text: str

    def __post_init__(self) -> None:
        if not 0 < len(self.keyword.encode("latin-1")) <= MAX_KEYWORD or "\0" in self.keyword:
            raise ValueError("no keyword")


@dataclass(frozen=True)
class Metadata:
    """All of it but the colour profile, true of the upright picture at any size."""

    exif: bytes = b""
    """A record with its `Exif` prefix, without orientation, sizes, thumbnail and resolution."""
    xmp: bytes = b""
    """A packet (ISO 16684-1) in UTF-8."""
    iptc: bytes = b""
    """Data sets of IPTC-IIM 4.2."""
    density: Density | None = None
    texts: tuple[Text, ...] = ()


NO_METADATA = Metadata()
