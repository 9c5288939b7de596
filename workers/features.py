"""Features of a decoded picture, by which its quality is predicted (`images.features`)."""

from __future__ import annotations

from images.features import measured
from images.picture import Picture
from models.expectation import Features


def features_of(picture: Picture) -> Features:
    """Return the features of a picture of any size, depth and kind: those that were measured where
    it was decoded, if they were."""
    return Features(*(picture.pixels.features or measured(picture.pixels.samples)))
