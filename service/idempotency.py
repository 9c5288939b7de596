"""The Idempotency-Key header: a request that is sent again gets the job of the first one.

The header is that of draft-ietf-httpapi-idempotency-key-header. A key is new or has a job, because
the queue stores both in one script; there is no time in between for which another request would
have to be refused.
"""

from __future__ import annotations

import hashlib
import re
from enum import Enum, auto

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers

from jobs.errors import InvalidRequest
from jobs.terms import Idempotency
from scheduling.request import UpscaleRequest
from service.access.caller import caller_of
from service.access.keys import ANYONE

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
"""Header of an answer with the job of an earlier request, as Stripe's interface has it."""
REPLAYED_HEADERS = {REPLAYED: "true"}
LONGEST_KEY = 255
QUOTED = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"[ ]*(?:;[ -~]*)?')
"""A string of RFC 9651, whose parameters mean nothing here."""
BARE = re.compile(r"[!#-+\--:<-\[\]-~]*")
"""What callers send who do not quote: no space, quotation mark, backslash, comma or semicolon."""
HASHED_AT_ONCE_BYTES = 1 << 16
"""Largest picture that is hashed on the event loop's thread, in some 50 µs."""


class Asked(Enum):
    """Whether a request may have been, or may be, sent another time."""

    ONCE = auto()
    """Without a key: nobody else can ask for this picture."""
    FIRST = auto()
    """The first with its key: its job goes on, and its picture is kept, for those that follow."""
    AGAIN = auto()
    """Its job is that of an earlier request."""


def idempotency_key(headers: Headers) -> str | None:
    """Return the key of a request; None without one. Raises InvalidRequest."""
    given = headers.getlist(HEADER)
    if not given:
        return None
    text = given[0].strip(" \t")
    quoted = QUOTED.fullmatch(text)
    key = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else text
    well_formed = quoted or BARE.fullmatch(text)
    if len(given) > 1 or not well_formed or not 1 <= len(key) <= LONGEST_KEY:
        raise InvalidRequest(
            f"{HEADER} must be one string of 1 to {LONGEST_KEY} printable ASCII characters, like "
            '"8e03978e-40d5-43dd-bc93-6894a57f9324".'
        )
    return key


async def idempotency_of(
    request: Request, key: str | None, wanted: UpscaleRequest, picture: bytes
) -> Idempotency | None:
    """Return the key of a request with its fingerprint; None without a key."""
    if key is None:
        return None
    # Without defaults, so that a version with more parameters finds the same.
    route: str = request.scope["route"].path
    wishes = f"{route}\n{wanted.model_dump_json(exclude_defaults=True)}\n".encode()
    if len(picture) <= HASHED_AT_ONCE_BYTES:
        return Idempotency(key, _fingerprint(wishes, picture), _caller(request))
    fingerprint = await run_in_threadpool(_fingerprint, wishes, picture)
    return Idempotency(key, fingerprint, _caller(request))


def idempotency_of_body(request: Request, key: str | None, body: bytes) -> Idempotency | None:
    """Return the key of a request whose body is all that it asks for; None without a key."""
    if key is None:
        return None
    route: str = request.scope["route"].path
    return Idempotency(key, _fingerprint(f"{route}\n".encode(), body), _caller(request))


def _fingerprint(wishes: bytes, picture: bytes) -> str:
    digest = hashlib.sha256(wishes)
    digest.update(picture)
    return digest.hexdigest()


def _caller(request: Request) -> str:
    """Return the name of the caller, where callers are known by name."""
    client = caller_of(request)
    return "" if client is ANYONE else client.name
