"""Which frame of an animated picture, or which page of a file, is meant."""

from __future__ import annotations

from jobs.errors import AnimatedImage, InvalidRequest


def chosen_frame(wanted: int | None, count: int, name: str = "frame") -> int:
    """Return the wanted one of `count` frames, counted from 0; the only one for None.

    Raises AnimatedImage where none of several is named, and InvalidRequest for one that is not
    there.
    """
    if wanted is None and count > 1:
        raise AnimatedImage
    return _there(wanted or 0, count, name)


def chosen_page(wanted: int | None, count: int) -> int:
    """Return the wanted one of `count` pages, counted from 0; the first for None. Raises
    InvalidRequest for one that is not there."""
    return _there(wanted or 0, count, "page")


def _there(wanted: int, count: int, name: str) -> int:
    if wanted >= count:
        some = f"1 {name}" if count == 1 else f"{count} {name}s"
        allowed = "0" if count == 1 else f"from 0 (the first) to {count - 1}"
        raise InvalidRequest(
            f"This file has {some}; frame must be {allowed}, got {wanted}.", frames=count
        )
    return wanted
