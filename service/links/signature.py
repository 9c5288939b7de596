"""Signatures of links: HMAC-SHA256 over the query in one form, so that only who has a secret makes
them, and no parameter can be changed."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from jobs.errors import InvalidRequest, LinkExpired, LinksDisabled, SignatureInvalid

SIGNATURE, KEY_ID, EXPIRY = "sig", "key", "exp"
"""Parameters of a link: its signature, the id of the key that made it, and the Unix time in seconds
from which it is refused."""
PURPOSE = "anysr-link-v1"
"""First line of what is signed: a secret that signs other things as well signs no link by it."""
KEY = re.compile(r"([A-Za-z0-9_-]{1,32}):([!-+\--~]{32,256})")
"""Id and secret: printable characters but the comma, which separates keys."""
EXPIRY_DIGITS = re.compile(r"[0-9]{1,12}")
NO_KEY = bytes(32)
"""Stands for the key of an unknown id, so that the time tells nothing of ids."""

Pairs = Sequence[tuple[str, str]]
"""Names and values of a query, decoded."""


@dataclass(frozen=True)
class LinkKey:
    """A key that signs links."""

    id: str
    secret: bytes


def link_key_of(text: str) -> LinkKey:
    """Return the key of `id:secret`. Raises ValueError, without the secret."""
    found = KEY.fullmatch(text)
    if found is None:
        raise ValueError(
            "must be an id of 1 to 32 letters, digits, dashes or underscores, a colon, and a "
            "secret of 32 to 256 printable characters without commas"
        )
    return LinkKey(found[1], found[2].encode())


def canonical(pairs: Iterable[tuple[str, str]]) -> str:
    """Return a query without its signature in the form that is signed: sorted by name and value,
    each percent-encoded in UTF-8 but for the unreserved characters of RFC 3986."""
    encoded = ((quote(n, safe=""), quote(v, safe="")) for n, v in pairs if n != SIGNATURE)
    return "&".join(f"{name}={value}" for name, value in sorted(encoded))


def signature(secret: bytes, query: str) -> str:
    """Return the signature of a canonical query: base64url without padding."""
    digest = hmac.digest(secret, f"{PURPOSE}\n{query}".encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def signed(pairs: Pairs, key: LinkKey, expires: int) -> str:
    """Return the query of a link with these parameters that is valid until `expires`."""
    complete = [*pairs, (EXPIRY, str(expires)), (KEY_ID, key.id)]
    sealed = (SIGNATURE, signature(key.secret, canonical(complete)))
    return urlencode([*complete, sealed], quote_via=quote, safe="")


def seconds_left(pairs: Pairs, keys: Sequence[LinkKey], now: float) -> float:
    """Return for how long a link with these parameters is valid.

    Raises LinksDisabled without keys, SignatureInvalid (also for an unknown key), LinkExpired, and
    InvalidRequest for an expiry that was signed and is none.
    """
    if not keys:
        raise LinksDisabled
    secret = {key.id: key.secret for key in keys}.get(_only(pairs, KEY_ID), NO_KEY)
    right = signature(secret, canonical(pairs)).encode()
    given = _only(pairs, SIGNATURE).encode("utf-8", "replace")
    if not hmac.compare_digest(right, given) or secret is NO_KEY:
        raise SignatureInvalid
    expiry = _only(pairs, EXPIRY)
    if not EXPIRY_DIGITS.fullmatch(expiry):
        raise InvalidRequest(f"'{EXPIRY}' must be given once, as a Unix time in whole seconds.")
    if int(expiry) <= now:
        raise LinkExpired
    return int(expiry) - now


def _only(pairs: Pairs, name: str) -> str:
    """Return the value of a parameter that is given once; else an empty text."""
    values = [value for given, value in pairs if given == name]
    return values[0] if len(values) == 1 else ""
