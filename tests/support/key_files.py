"""Files of keys for tests, written as an operator would write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cli.key_edits import add_key


def new_key(path: Path, client: str, **limits: Any) -> dict[str, str]:
    """Add a key of a client to a file, and return the headers of a request with it."""
    return {"Authorization": f"Bearer {add_key(path, client, limits)}"}


def id_of(headers: dict[str, str]) -> str:
    """Return the id of the key in the headers of a request."""
    return headers["Authorization"].split("_")[1]
