"""The format of a link's picture: the best that a browser names in its Accept header."""

from __future__ import annotations

from http import HTTPStatus

from starlette.exceptions import HTTPException

from jobs.formats import ImageFormat
from service.negotiation import ANY, ANY_IMAGE, VARY, accepted_of

NAMED = (ImageFormat.AVIF, ImageFormat.WEBP)
"""Best first: browsers name what not all of them can show, and `image/*` says nothing of it."""
USUAL = ImageFormat.JPEG


def format_for_page(header: str) -> ImageFormat:
    """Return AVIF or WebP where an Accept header names it, else JPEG. Raises HTTPException 406 if
    it allows none."""
    weights = {item.media_range: item.weight for item in accepted_of(header)}
    named = [kind for kind in NAMED if weights.get(kind.media_type, 0.0) > 0]
    if named:
        return max(named, key=lambda kind: weights[kind.media_type])
    usual = (weights.get(name) for name in (USUAL.media_type, ANY_IMAGE, ANY))
    weight = next((found for found in usual if found is not None), None)
    if weight == 0 or (weight is None and weights):
        text = "The Accept header allows none of image/avif, image/webp and image/jpeg."
        raise HTTPException(HTTPStatus.NOT_ACCEPTABLE, text, VARY)
    return USUAL
