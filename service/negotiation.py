"""The format of an output with `format=auto`, by the request's Accept header (RFC 9110, 12.5.1)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from starlette.exceptions import HTTPException

from jobs.formats import WRITTEN, ImageFormat

VARY: Mapping[str, str] = {"Vary": "Accept"}
"""Header of an answer that depends on the request's Accept header."""
ANY, ANY_IMAGE = "*/*", "image/*"
WEIGHT = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")
"""qvalue of RFC 9110, section 12.4.2."""


@dataclass(frozen=True)
class Accepted:
    """One media range of an Accept header, in lower case."""

    media_range: str
    weight: float
    """0 (refused) to 1."""


def accepted_of(header: str) -> tuple[Accepted, ...]:
    """Return the ranges of an Accept header in its order; ill-formed ones are left out."""
    found = []
    for element in header.lower().split(","):
        media_range, *parameters = (part.strip() for part in element.split(";"))
        weight = next((p[2:] for p in parameters if p.startswith("q=")), "1")
        if media_range and WEIGHT.fullmatch(weight):
            found.append(Accepted(media_range, float(weight)))
    return tuple(found)


def format_of_answer(header: str, own: ImageFormat) -> ImageFormat:
    """Return the format of a picture that answers a request with this Accept header. Raises
    HTTPException 406 if the caller accepts none."""
    chosen = negotiated(accepted_of(header), own)
    if chosen is None:
        kinds = ", ".join(kind.media_type for kind in WRITTEN)
        text = f"The Accept header allows no format of this service; there are {kinds}."
        raise HTTPException(HTTPStatus.NOT_ACCEPTABLE, text, VARY)
    return chosen


def format_of_result(header: str, own: ImageFormat) -> ImageFormat:
    """Return the format of a picture that is fetched later. The Accept header of its submission
    also has the type of that answer, so only its image types count, and they may be missing."""
    images = (item for item in accepted_of(header) if item.media_range.startswith("image/"))
    return negotiated(tuple(images), own) or own


def negotiated(ranges: Sequence[Accepted], own: ImageFormat) -> ImageFormat | None:
    """Return the format that a caller likes best; None if it accepts none. Without ranges any is
    accepted.

    Of several with the highest weight, those that it names come before those of a wildcard: the
    picture's `own` first, then the one named first.
    """
    ranges = ranges or (Accepted(ANY, 1.0),)
    in_order = (kind for item in ranges for kind in WRITTEN if kind.media_type == item.media_range)
    named = dict.fromkeys(in_order)
    rated = {kind: _weight(kind, ranges) for kind in _own_first(own, *named, *WRITTEN)}
    best = max(rated.values())
    equal = [kind for kind, weight in rated.items() if weight == best > 0]
    return next((kind for kind in (*filter(named.__contains__, equal), *equal)), None)


def _own_first(own: ImageFormat, *others: ImageFormat) -> Iterable[ImageFormat]:
    return dict.fromkeys((own, *others) if own in WRITTEN else others)


def _weight(kind: ImageFormat, ranges: Iterable[Accepted]) -> float:
    """Return the weight of a format, by the most specific range that includes it."""
    weights = {item.media_range: item.weight for item in ranges}
    for media_range in (kind.media_type, ANY_IMAGE, ANY):
        if media_range in weights:
            return weights[media_range]
    return 0.0
