"""Digests by which results are cached: of what makes a picture, and of what it was made by."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields

from starlette.concurrency import run_in_threadpool

from jobs.job import JobRequest, RunFacts
from telemetry.build import package_version

HASHED_AT_ONCE_BYTES = 1 << 18
"""Largest picture that is hashed on the event loop's thread, in some 0.2 ms."""
GROUP_LENGTH, VARIANT_LENGTH = 40, 16
"""In hexadecimal digits; jobs/lua/keep_picture.lua has the former."""

BESIDE_THE_PICTURE = frozenset(
    {
        *("id", "client", "traceparent"),
        *("model", "pinned_width", "on_miss", "budget_ms", "min_db", "min_width"),
    }
)
"""Fields of a request that change no picture of one model and width: they only choose these."""
OPTIONS = tuple(f.name for f in fields(JobRequest) if f.name not in BESIDE_THE_PICTURE)
"""All others, so that a new field counts until it is named above."""


async def group_of(job: JobRequest, picture: bytes, scope: str) -> str:
    """Return the digest of an encoded source picture, the options of its result, and the version of
    the service. `scope` names those who share results."""
    options = {name: getattr(job, name) for name in OPTIONS}
    wishes = json.dumps([package_version(), scope, options], sort_keys=True).encode()
    if len(picture) <= HASHED_AT_ONCE_BYTES:
        return _digest(wishes, picture)
    return await run_in_threadpool(_digest, wishes, picture)


def _digest(wishes: bytes, picture: bytes) -> str:
    # Processors have instructions for SHA-256: it takes half the time of BLAKE2b.
    digest = hashlib.sha256(len(wishes).to_bytes(8, "big"))
    digest.update(wishes)
    digest.update(picture)
    return digest.hexdigest()[:GROUP_LENGTH]


def variant_of(facts: RunFacts) -> str:
    """Return the digest of the model, by its fingerprint, and the width that made a picture."""
    made_by = json.dumps([facts.model, facts.fingerprint, facts.width]).encode()
    return hashlib.sha256(made_by).hexdigest()[:VARIANT_LENGTH]
