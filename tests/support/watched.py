"""Bytes that count how often and how much is read of them."""

from __future__ import annotations

from typing import Any


class Watched(bytes):
    """Bytes that count accesses and the bytes copied by them."""

    accesses = 0
    copied = 0

    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        self.accesses += 1
        self.copied += len(found) if isinstance(found, bytes) else 1
        return found
