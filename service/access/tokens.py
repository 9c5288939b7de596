"""Tokens: what a client sends as its key, `anysr_<id>_<secret>`.

The id finds the key's record, and the prefix lets scanners find tokens in places where none belong.
The secret has 256 random bits. A hash that is slow on purpose, as for passwords, protects what can
be guessed; this cannot be, so its SHA-256 is stored.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import string
from typing import NamedTuple

ALPHABET = string.digits + string.ascii_letters
ID_LENGTH, SECRET_LENGTH = 8, 43
"""In letters and digits, of which 43 have 256 bits."""
ID = f"[0-9A-Za-z]{{{ID_LENGTH}}}"
_TOKEN = re.compile(f"anysr_({ID})_([0-9A-Za-z]{{{SECRET_LENGTH}}})")


class Token(NamedTuple):
    """The two parts of a token."""

    id: str
    secret: str

    def __str__(self) -> str:
        return f"anysr_{self.id}_{self.secret}"


def new_token() -> Token:
    """Return a new token of random parts."""
    return Token(_random(ID_LENGTH), _random(SECRET_LENGTH))


def parsed_token(text: str) -> Token | None:
    """Return the token that a caller sent; None for a malformed one."""
    match = _TOKEN.fullmatch(text)
    return None if match is None else Token(*match.groups())


def digest_of(secret: str) -> bytes:
    """Return the SHA-256 of a secret, by which it is recognised."""
    return hashlib.sha256(secret.encode()).digest()


def _random(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))
