"""Edits of the file of keys: whole or not at all, one at a time, and with its comments kept."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit import TOMLDocument

from models.whole_file import written
from service.access.key_file import parse_key_file
from service.access.tokens import Token, digest_of, new_token


def add_key(path: Path, client: str, limits: Mapping[str, Any]) -> Token:
    """Add a new key of a client, which may have others, to a file, which may be missing; set those
    limits of the client that are given. Return the key, which is stored nowhere.

    Raises KeyFileError, for a wrong limit as well, and OSError.
    """
    token = new_token()
    with _edited(path) as document:
        clients = document.setdefault("clients", tomlkit.table(is_super_table=True))
        entry = clients.setdefault(client, tomlkit.table())
        entry.update(limits)
        key = tomlkit.table()
        key.update(
            {
                "id": token.id,
                "sha256": digest_of(token.secret).hex(),
                "created": datetime.now(UTC).date(),
            }
        )
        key.add(tomlkit.nl())
        entry.setdefault("keys", tomlkit.aot()).append(key)
    return token


def remove_key(path: Path, key_id: str) -> str | None:
    """Remove a key from a file, and return the name of its client; None if there is no such key.
    The client stays with its limits. Raises KeyFileError and OSError."""
    with _edited(path) as document:
        for client, entry in document.get("clients", {}).items():
            keys = entry.get("keys", [])
            for place, key in enumerate(keys):
                if key["id"] == key_id:
                    del keys[place]
                    return str(client)
    return None


@contextlib.contextmanager
def _edited(path: Path) -> Iterator[TOMLDocument]:
    """Yield the content of a file, and write what the block makes of it, if that is valid."""
    target = path.resolve()  # a link stays one
    with _locked(target.parent):
        before = target.read_bytes() if target.exists() else b""
        parse_key_file(before, str(path))
        document = tomlkit.parse(before.decode())
        yield document
        after = tomlkit.dumps(document).encode()
        parse_key_file(after, str(path))
        if after != before:
            _replace(target, after)


def _replace(target: Path, content: bytes) -> None:
    with written(target) as partial:
        partial.write_bytes(content)
        if target.exists():
            shutil.copymode(target, partial)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder: of two edits at once, neither is lost."""
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
