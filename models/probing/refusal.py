"""The error of a graph that cannot be served."""

from __future__ import annotations


class NotServable(Exception):
    """The graph cannot be served; the text is one sentence for the person who adds it."""
