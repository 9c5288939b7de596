"""The protocol's form of an error, in place of a problem: `{"error": "..."}`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PREFIX = "/v2"
MEDIA_TYPE = "application/json"
_STANDARD = frozenset({"type", "title", "status", "detail"})
"""Members of a problem that HTTP's status and `error` tell."""


def speaks_protocol(path: str) -> bool:
    """Return whether a path, without the service's own prefix, is one of the protocol's."""
    return path == PREFIX or path.startswith(f"{PREFIX}/")


def error_of(problem: Mapping[str, Any]) -> dict[str, Any]:
    """Return the protocol's error with the text of a problem; its code and details stay beside it,
    where clients of the protocol pass them over."""
    rest = {name: value for name, value in problem.items() if name not in _STANDARD}
    return {"error": problem["detail"], **rest}
