"""What a request's Cache-Control header says to the result cache (RFC 9111, section 5.2.1)."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

MOST_SECONDS = 2_147_483_648
"""What a greater number stands for (RFC 9111, section 1.2.2)."""
SECONDS = re.compile(r'"?([0-9]+)"?')


@dataclass(frozen=True)
class Directives:
    """What a caller allows."""

    read: bool = True
    """Whether a cached picture may answer."""
    store: bool = True
    """Whether the result may be kept."""
    most_age_s: float = math.inf


def directives_of(header: str) -> Directives:
    """Return the directives of a Cache-Control header. One that is not understood is passed over;
    an age that is no number counts as 0, so that nothing is older than its caller may mean."""
    stated = dict(_stated(part) for part in header.split(","))
    most_age_s = math.inf
    if "max-age" in stated:
        seconds = SECONDS.fullmatch(stated["max-age"])
        most_age_s = 0.0 if seconds is None else float(min(int(seconds[1][:12]), MOST_SECONDS))
    no_store = "no-store" in stated
    return Directives(not (no_store or "no-cache" in stated), not no_store, most_age_s)


def _stated(part: str) -> tuple[str, str]:
    name, _, value = part.partition("=")
    return name.strip().lower(), value.strip()
