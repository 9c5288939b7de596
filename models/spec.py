"""The {name, args} spec of a network, as configs, checkpoints and the catalog hold it.

Needs neither torch nor pydantic; `models.architectures.registry.build_network` builds the network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar


@dataclass(frozen=True)
class NetworkSpec:
    """A network's name in the registry, and the arguments that it is built with."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}  # read where the catalog is validated

    name: str
    args: Mapping[str, Any] = field(default_factory=dict)
