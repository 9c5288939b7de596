"""Compose files as data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"


class ComposeLoader(yaml.SafeLoader):
    """Knows Compose's tag for what an override takes away."""


ComposeLoader.add_constructor("!reset", lambda *_: None)


def read(path: Path) -> dict[str, Any]:
    """A Compose file with its anchors resolved and its variables as they are written."""
    content: dict[str, Any] = yaml.load(path.read_text(), Loader=ComposeLoader)
    return content
