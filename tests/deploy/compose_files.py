"""Compose files as data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"


class ComposeLoader(yaml.SafeLoader):
    """Loader with Compose's tag for removed values."""


ComposeLoader.add_constructor("!reset", lambda *_: None)


def read(path: Path) -> dict[str, Any]:
    """Return a Compose file with resolved anchors and unresolved variables."""
    content: dict[str, Any] = yaml.load(path.read_text(), Loader=ComposeLoader)
    return content
