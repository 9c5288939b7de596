"""Mutations of a file: each takes its bytes and a generator of random numbers."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

Operator = Callable[[bytes, Random], bytes]

HEAD = 128
"""Bytes at the beginning, where headers are, that get a third of all mutations more."""
EDGES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
"""Numbers at which readers break: the least and the most of a field, and their neighbours."""
MOST_REPEATS = 200
LONGEST = 1 << 20
"""Most bytes of a mutated file."""


def flip_bits(data: bytes, rng: Random) -> bytes:
    """Flip up to eight bits."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 8)):
        changed[_place(data, rng)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def set_number(data: bytes, rng: Random) -> bytes:
    """Overwrite a field of 1, 2 or 4 bytes with an edge of its range or a small number."""
    size = rng.choice((1, 2, 4))
    number = rng.choice((*EDGES, rng.randrange(512))) % (1 << 8 * size)
    at = _place(data, rng)
    order = rng.choice(("big", "little"))
    field = number.to_bytes(size, "big" if order == "big" else "little")
    return data[:at] + field + data[at + size :]


def cut(data: bytes, rng: Random) -> bytes:
    """Drop the end."""
    return data[: rng.randrange(len(data))]


def drop(data: bytes, rng: Random) -> bytes:
    """Drop a part."""
    start, end = _part(data, rng)
    return data[:start] + data[end:]


def repeat(data: bytes, rng: Random) -> bytes:
    """Repeat a part many times."""
    start, end = _part(data, rng)
    times = rng.choice((2, 3, MOST_REPEATS))
    return (data[:start] + data[start:end] * times + data[end:])[:LONGEST]


def insert(data: bytes, rng: Random) -> bytes:
    """Insert random bytes."""
    at = _place(data, rng)
    return data[:at] + rng.randbytes(rng.randint(1, 64)) + data[at:]


def move(data: bytes, rng: Random) -> bytes:
    """Move a part to another place."""
    start, end = _part(data, rng)
    rest = data[:start] + data[end:]
    at = rng.randint(0, len(rest))
    return rest[:at] + data[start:end] + rest[at:]


def splice(data: bytes, other: bytes, rng: Random) -> bytes:
    """Return the beginning of a file with the end of another one."""
    return data[: _place(data, rng)] + other[rng.randrange(len(other)) :]


OPERATORS: tuple[Operator, ...] = (flip_bits, set_number, cut, drop, repeat, insert, move)


def _place(data: bytes, rng: Random) -> int:
    within = min(HEAD, len(data)) if rng.random() < 1 / 3 else len(data)
    return rng.randrange(within)


def _part(data: bytes, rng: Random) -> tuple[int, int]:
    start = _place(data, rng)
    return start, min(len(data), start + rng.choice((1, 4, 12, 64, 512)))
