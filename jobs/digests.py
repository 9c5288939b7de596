"""Digests of what the queue keeps, so that bytes which a disk or a store has altered are noticed.

Redis' append-only file has no checksums while it grows, and an object in a bucket can be changed by
whoever has the right to. The digest is XXH3 of 128 bits (https://xxhash.com), because it takes
0.06 ms per MiB, where CRC-32 takes 0.35, SHA-256 1.1 and BLAKE2b 2.6. It finds faults, not forgers:
who can write a picture can write its digest.
"""

from __future__ import annotations

import asyncio

import xxhash

HASHED_AT_ONCE_BYTES = 1 << 20
"""Most bytes that are hashed on the event loop's thread, in some 60 µs."""
SEAL = b',"digest":"'
"""Begins the last member of a sealed JSON object. No text within one has it, because JSON escapes
quotation marks."""


def digest_of(data: bytes) -> str:
    """Return the digest of bytes, in hexadecimal."""
    return xxhash.xxh3_128_hexdigest(data)


async def digest_off_loop(data: bytes) -> str:
    """Return the digest of bytes, of many from another thread."""
    if len(data) <= HASHED_AT_ONCE_BYTES:
        return digest_of(data)
    return await asyncio.to_thread(digest_of, data)


async def is_whole(data: bytes, digest: str | None) -> bool:
    """Return whether these are the bytes of a digest; True for None, which stands where an earlier
    version has written."""
    return digest is None or await digest_off_loop(data) == digest


def sealed(json: bytes) -> bytes:
    """Return a JSON object, which must have a member, with its own digest as a further one."""
    return b'%s%s%s"}' % (json[:-1], SEAL, digest_of(json).encode())


def unsealed(data: bytes) -> bytes:
    """Return the JSON object that was sealed; one without a seal, of an earlier version, as it is.
    Raises ValueError where a byte has changed."""
    head, seal, tail = data.rpartition(SEAL)
    if not seal:
        return data
    json = head + b"}"
    if tail != b'%s"}' % digest_of(json).encode():
        raise ValueError("the digest is of other bytes")
    return json
