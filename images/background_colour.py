"""What transparency is flattened on: a colour of sRGB, in the colours of a picture."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageCms

from images.colour_space import is_hdr, white_level
from images.picture import FloatArray, Picture
from images.profiles import profile_of

Background = tuple[int, int, int]
"""Red, green and blue of sRGB, from 0 to 255."""
WHITE: Background = (255, 255, 255)


def background_of(text: str) -> Background:
    """Return the colour that RRGGBB names in hexadecimal. Raises ValueError for another text."""
    red, green, blue = bytes.fromhex(text)
    return red, green, blue


def colours_grey(picture: Picture, background: Background) -> bool:
    """Return whether a transparent grey picture gets colours by being flattened."""
    grey = picture.pixels.colours == 1 and picture.pixels.has_alpha
    return grey and len(set(background)) > 1


def levels_of(picture: Picture, background: Background) -> FloatArray:
    """Return the colour as levels [C, 1, 1] in [0, 1] of a picture: one of a grey picture that
    stays grey, else three. White is diffuse white in HDR, other colours parts of it."""
    plain: FloatArray = np.array(background, np.float32) / np.float32(255)
    if picture.pixels.colours == 1:
        plain = plain if colours_grey(picture, background) else plain[:1]
    if is_hdr(picture.space):
        plain = plain * np.float32(white_level(picture.space))
    elif background != WHITE and picture.pixels.colours == 3:
        plain = _converted(plain, background, picture)
    return plain[:, None, None]


def _converted(plain: FloatArray, background: Background, picture: Picture) -> FloatArray:
    """Return the colour by the picture's profile, or as it is where that cannot be used."""
    icc = picture.icc if picture.space is None else profile_of(picture.space, grey=False)
    if icc is None:
        return plain
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        pixel = Image.new("RGB", (1, 1), background)
        source = ImageCms.createProfile("sRGB")
        made = ImageCms.profileToProfile(pixel, source, profile, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return plain
    return plain if made is None else np.asarray(made, np.float32)[0, 0] / np.float32(255)
