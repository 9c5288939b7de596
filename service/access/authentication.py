"""Authentication: from an Authorization header to a client (RFC 6750)."""

from __future__ import annotations

import hmac

from service.access.keys import Client, KeyRing
from service.access.tokens import digest_of, parsed_token

_NO_DIGEST = bytes(32)
"""Compared with where there is no key, so that an unknown id takes the time of a wrong secret."""


def client_with(token: str, ring: KeyRing) -> Client | None:
    """Return the client whose key a token is; None for any other."""
    parsed = parsed_token(token)
    if parsed is None:
        return None
    key = ring.keys.get(parsed.id)
    expected = _NO_DIGEST if key is None else key.digest
    same = hmac.compare_digest(digest_of(parsed.secret), expected)
    return key.client if same and key is not None else None
