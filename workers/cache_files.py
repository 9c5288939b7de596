"""Files that keep what was found out at an earlier start, for the next one.

A file is for one way to run on one kind of machine: `facts` names all that its content depends on,
the file is named after them and holds them, and one that does not say the same is not believed.
"""

from __future__ import annotations

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
"""In JSON's types."""

UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError)
"""What reading a kept file and making sense of it may raise."""


def kept_folder(setting: str | None, environment: Mapping[str, str]) -> Path | None:
    """Return where such files are kept: as it is set, or in the user's cache folder (XDG).

    None where it is set to nothing, or where there is no such folder.
    """
    if setting is not None:
        return Path(setting) if setting else None
    cache, home = environment.get("XDG_CACHE_HOME", ""), environment.get("HOME", "")
    if os.path.isabs(cache):
        return Path(cache, "anysr")
    return Path(home, ".cache", "anysr") if os.path.isabs(home) else None


def file_name(kind: str, facts: Facts) -> str:
    """Return the name of the file of a kind for these facts."""
    canonical = json.dumps(facts, sort_keys=True)
    return f"{kind}-{hashlib.sha256(canonical.encode()).hexdigest()[:16]}.json"


def read_kept(path: Path, facts: Facts) -> dict[str, Any]:
    """Return what a file holds; ValueError when it is of other facts, and what reading raises."""
    content: dict[str, Any] = json.loads(path.read_text())
    if content["facts"] != facts:
        raise ValueError("it is of another machine or of other models")
    return content


def keep(path: Path, facts: Facts, content: Mapping[str, Any]) -> None:
    """Write a file in one step; what cannot be kept is found out again next time."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps({"facts": facts, **content}, indent=1) + "\n")
        partial.replace(path)
    except OSError as error:
        log.warning("%s cannot be kept: %s", path.name, error)


def versions(libraries: tuple[str, ...]) -> dict[str, str | None]:
    """Return the versions of installed packages, None for those that are not."""
    return {name: _version(name) for name in libraries}


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None
