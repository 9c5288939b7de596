"""The headers `RateLimit-Policy` and `RateLimit`: what a client may use, and what it has left.

They are those of draft-ietf-httpapi-ratelimit-headers-10: lists of structured fields (RFC 9651). A
bucket of tokens is shown as a quota of its size, restored within the time in which it fills. The
unit `pixels` is ours: the draft's registry has none but requests and bytes.
"""

from __future__ import annotations

import math

from jobs.client_limits import DAY_S, Allowance, ClientLimits

POLICY, STATE = "RateLimit-Policy", "RateLimit"


def rate_headers(limits: ClientLimits, allowance: Allowance, spent: int = 0) -> dict[str, str]:
    """Return the headers for a client that has spent further output pixels since its allowance;
    none where neither requests nor pixels are limited."""
    policies, states = [], []
    if limits.requests_per_second is not None:
        policies.append(f'"requests";q={limits.burst};w={limits.window_s}')
        states.append(f'"requests";r={allowance.requests};t={math.ceil(allowance.full_s)}')
    if limits.pixels_per_day is not None:
        left = max(0, allowance.pixels - spent)
        policies.append(f'"pixels";q={limits.pixels_per_day};qu="pixels";w={DAY_S}')
        states.append(f'"pixels";r={left};t={math.ceil(allowance.day_s)}')
    if not policies:
        return {}
    return {POLICY: ", ".join(policies), STATE: ", ".join(states)}
