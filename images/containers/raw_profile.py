"""Profiles that ImageMagick writes into text chunks of a PNG: in hexadecimal, behind a name and a
length."""

from __future__ import annotations

KEYWORD = "Raw profile type "


def unwrapped(text: str, most: int) -> bytes:
    """Return the content of such a text, b"" for one that is damaged or has more than `most`
    bytes."""
    if len(text) > 3 * most:
        return b""
    try:
        return bytes.fromhex("".join(text.split("\n")[3:]))
    except ValueError:
        return b""


def wrapped(name: str, content: bytes) -> str:
    """Return a text that holds a profile."""
    digits = content.hex()
    lines = (digits[at : at + 72] for at in range(0, len(digits), 72))
    return "\n".join(("", name, f"{len(content):8}", *lines, ""))
