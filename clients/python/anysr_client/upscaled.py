"""An upscaled picture, and what the headers of its answer say about it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from anysr_client.errors import UnexpectedAnswer

STAGE = re.compile(r"([\w-]+);dur=([\d.]+)")


@dataclass(frozen=True)
class Upscaled:
    """An encoded picture, and how it was made."""

    picture: bytes = field(repr=False)
    media_type: str
    """Such as `image/png`."""
    job_id: str
    model: str
    """`lanczos` for plain resampling."""
    width: float
    """Network width; 0 for plain resampling."""
    scales: tuple[float, float]
    """Output size / input size, of height and width, in two decimals."""
    reason: str
    """Why this width: `widest`, `slack`, `backlog`, `demand`, `behind`, `pinned` or `floor`."""
    budget_ms: float
    elapsed_ms: float
    """From the end of the upload to the finished answer."""
    met: bool
    """Whether that was within the budget."""
    predicted_ms: float | None = None
    strength: float = 0.0
    """How much compression damage was cleaned up, 0 to 1."""
    expected_db: float | None = None
    """Expected PSNR-Y in dB, where it is known."""
    expected_db_range: tuple[float, float] | None = None
    """Interval that holds four of five such pictures."""
    converted: bool = False
    """Whether colours were converted, because the output could not state them."""
    stages_ms: Mapping[str, float] = field(default_factory=dict)
    """Durations of `Server-Timing`."""


def upscaled_of(headers: Mapping[str, str], picture: bytes) -> Upscaled:
    """Return the picture of an answer. Raises UnexpectedAnswer where its headers are not those of
    the service."""
    try:
        return Upscaled(
            picture=picture,
            media_type=headers["Content-Type"].partition(";")[0].strip(),
            job_id=headers["X-Request-ID"],
            model=headers["X-AnySR-Model"],
            width=float(headers["X-AnySR-Width"]),
            scales=_scales(headers["X-AnySR-Scale"]),
            reason=headers["X-AnySR-Reason"],
            budget_ms=float(headers["X-AnySR-Budget-Ms"]),
            elapsed_ms=float(headers["X-AnySR-Elapsed-Ms"]),
            met=headers["X-AnySR-Deadline"] == "met",
            predicted_ms=_number(headers.get("X-AnySR-Predicted-Ms")),
            strength=_number(headers.get("X-AnySR-Strength")) or 0.0,
            expected_db=_number(headers.get("X-AnySR-Expected-Db")),
            expected_db_range=_interval(headers.get("X-AnySR-Expected-Db-Range")),
            converted="X-AnySR-Colours" in headers,
            stages_ms=_stages(headers.get("Server-Timing", "")),
        )
    except (LookupError, ValueError) as error:
        detail = f"the server answered 200 without a picture of AnySR: {error}"
        raise UnexpectedAnswer(detail, status=200) from error


def _number(text: str | None) -> float | None:
    return None if text is None else float(text)


def _scales(text: str) -> tuple[float, float]:
    """Return the scales of `2.37`, or of `2x3` (height x width)."""
    rows, _, columns = text.partition("x")
    return float(rows), float(columns or rows)


def _interval(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    least, _, most = text.partition("-")
    return float(least), float(most)


def _stages(text: str) -> dict[str, float]:
    return {name: float(ms) for name, ms in STAGE.findall(text)}
