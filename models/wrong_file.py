"""The error for a file that a person named and that is not what it must be."""

from __future__ import annotations


class WrongFile(ValueError):
    """The message is one sentence that names the file, or what in it is wrong."""
