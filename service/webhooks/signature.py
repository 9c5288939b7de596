"""Signatures of Standard Webhooks (https://www.standardwebhooks.com): HMAC-SHA256 over id, time and
body, so that a receiver knows who sent it, and that it is not an old one sent again."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence

PREFIX = "whsec_"
KEY_BYTES = (24, 64)
"""Fewest and most bytes of a secret's key, by the standard."""


def key_of(secret: str) -> bytes:
    """Return the key of a secret `whsec_` and base64. Raises ValueError, without the secret."""
    encoded = secret.removeprefix(PREFIX)
    least, most = KEY_BYTES
    try:
        key = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        key = b""
    if not secret.startswith(PREFIX) or not least <= len(key) <= most:
        raise ValueError(f"must be {PREFIX} and base64 of {least} to {most} bytes")
    return key


class Signer:
    """Signs with every secret, so that receivers can change to a new one at their own time."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._keys = tuple(map(key_of, secrets))

    def headers(self, message_id: str, seconds: int, body: bytes) -> dict[str, str]:
        """Return the headers of a message that is sent at this Unix time."""
        content = b".".join((message_id.encode(), str(seconds).encode(), body))
        return {
            "webhook-id": message_id,
            "webhook-timestamp": str(seconds),
            "webhook-signature": " ".join(_signature(key, content) for key in self._keys),
        }


def _signature(key: bytes, content: bytes) -> str:
    digest = hmac.digest(key, content, hashlib.sha256)
    return f"v1,{base64.b64encode(digest).decode()}"
