"""The methods of a path, for the Allow header of 405 (RFC 9110, section 15.5.6): all of them, where
the router names those of the first route alone."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.routing import BaseRoute, Match, Mount
from starlette.types import Scope

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
"""Those that routes may have; mounts have files, for GET. HEAD goes with GET (`head_requests`)."""


def allowed_methods(routes: Iterable[BaseRoute], scope: Scope) -> str:
    """Return the methods for which some route answers the path of a request, as Allow has them."""
    candidates = tuple(routes)
    # A mount has changed the prefix by which it was found.
    asked = {**scope, "root_path": scope.get("app_root_path", scope.get("root_path", ""))}
    return ", ".join(method for method in METHODS if _has_route(candidates, asked, method))


def _has_route(routes: tuple[BaseRoute, ...], scope: Scope, method: str) -> bool:
    asked = {**scope, "method": method}
    found = (route for route in routes if route.matches(asked)[0] is Match.FULL)
    return any(method == "GET" or not isinstance(route, Mount) for route in found)
