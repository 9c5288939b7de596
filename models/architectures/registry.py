"""The explicit list of networks and the {name, args} spec that builds one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from models.architectures.defian import DeFiAN
from models.architectures.elastic import Elastic
from models.architectures.gidrn import GIDRN

NETWORKS: Mapping[str, Callable[..., Any]] = {
    "elastic": Elastic,
    "defian": DeFiAN,
    "gidrn": GIDRN,
}


@dataclass(frozen=True)
class NetworkSpec:
    """What a checkpoint header and a training config say of a network."""

    name: str
    args: Mapping[str, Any] = field(default_factory=dict)

    def build(self) -> Elastic:
        """Return a freshly initialised network; ValueError for a name that is not listed."""
        if self.name not in NETWORKS:
            raise ValueError(f"unknown network {self.name!r}; known: {', '.join(NETWORKS)}")
        network: Elastic = NETWORKS[self.name](**self.args)
        return network
