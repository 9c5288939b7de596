"""The end of a request whose caller has left."""

from __future__ import annotations


class CallerGone(Exception):
    """The caller closed the connection: its job was cancelled, and nobody reads the answer."""
