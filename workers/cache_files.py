"""Cache files with results of an earlier start.

A file is valid for one configuration on one kind of machine. `facts` holds everything that its
content depends on; the file is named after a hash of them and contains them, and a file with other
facts is ignored.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

log = logging.getLogger("anysr.workers.cache_files")

Facts = dict[str, Any]
"""JSON values by name."""

UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError)
"""Errors of reading and interpreting a cache file."""


def cache_folder(setting: str | None, environment: Mapping[str, str]) -> Path | None:
    """Return the folder of cache files: the setting, or anysr in the user's cache folder (XDG).

    None if the setting is empty, or without a user's folder.
    """
    if setting is not None:
        return Path(setting) if setting else None
    cache, home = environment.get("XDG_CACHE_HOME", ""), environment.get("HOME", "")
    if os.path.isabs(cache):
        return Path(cache, "anysr")
    return Path(home, ".cache", "anysr") if os.path.isabs(home) else None


def file_name(kind: str, facts: Facts) -> str:
    """Return the name of the cache file of a kind for these facts."""
    canonical = json.dumps(facts, sort_keys=True)
    return f"{kind}-{hashlib.sha256(canonical.encode()).hexdigest()[:16]}.json"


def read_cached(path: Path, facts: Facts) -> dict[str, Any]:
    """Return the content of a cache file. Raises ValueError if it has other facts."""
    content: dict[str, Any] = json.loads(path.read_text())
    if content["facts"] != facts:
        raise ValueError("it is of another machine or of other models")
    return content


def write_cached(path: Path, facts: Facts, content: Mapping[str, Any]) -> None:
    """Write a cache file whole or not at all. A failure, as of a full disk, leaves no file and is
    logged: the next start determines it again."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps({"facts": facts, **content}, indent=1) + "\n")
        partial.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):  # as of a folder that is none
            partial.unlink(missing_ok=True)
        log.warning("%s cannot be cached: %s", path.name, error)


def versions(libraries: tuple[str, ...]) -> dict[str, str | None]:
    """Return the versions of packages, None for those that are not installed."""
    return {name: _version(name) for name in libraries}


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None
