"""What a family of public checkpoints has to say of itself, so that it can be converted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from torch import Tensor

from models.architectures.registry import NetworkSpec

Tensors = Mapping[str, Tensor]


class Layout(Protocol):
    """One family of checkpoints."""

    def spec_of(self, public: Tensors) -> NetworkSpec | None:
        """Return the network that tensors under public names are of; None for another family's."""

    def writes(self, spec: NetworkSpec) -> bool:
        """Whether this family has a name for all that a network holds."""

    def name_of(self, spec: NetworkSpec, ours: str) -> str:
        """Return the public name of one of a network's tensors."""

    def shaped(self, spec: NetworkSpec, ours: str, tensor: Tensor) -> Tensor:
        """Return one of a network's tensors in the shape that it has in public: a view."""

    def unused(self, spec: NetworkSpec) -> Tensors:
        """Return what public checkpoints hold beside: never trained, so always the same."""

    def implied(self, spec: NetworkSpec) -> Tensors:
        """Return those of our tensors that public checkpoints do not hold, as all of them mean
        them."""
