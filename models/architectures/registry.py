"""The explicit list of networks and the {name, args} spec that builds one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from models.architectures.elastic import Elastic

NETWORKS = {"elastic": Elastic}


@dataclass(frozen=True)
class NetworkSpec:
    """What a checkpoint header and a training config say of a network."""

    name: str
    args: Mapping[str, Any] = field(default_factory=dict)

    def build(self) -> Elastic:
        """Return a freshly initialised network; ValueError for a name that is not listed."""
        if self.name not in NETWORKS:
            raise ValueError(f"unknown network {self.name!r}; known: {', '.join(NETWORKS)}")
        return NETWORKS[self.name](**self.args)
