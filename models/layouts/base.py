"""What a family of public checkpoints has to say of itself, so that it can be converted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from torch import Tensor

from models.spec import NetworkSpec

Tensors = Mapping[str, Tensor]
Told = Mapping[str, Any]
"""The {name, args} by which public code builds a network, as a file has it: anything goes."""

LONGEST, MOST = 60, 10**15
"""Of a word and of a number that are told from a file."""


class ConversionError(Exception):
    """Weights that no layout knows, or that are not all that one of its networks holds."""


class Layout(Protocol):
    """One family of checkpoints."""

    def spec_of(self, public: Tensors, told: Told | None, as_published: bool) -> NetworkSpec | None:
        """Return the network that tensors under public names are of; None for another family's.

        Shapes do not say all: `told` is what the file says beside, and `as_published` whether a
        file that says nothing is to be taken for a network as its authors built it. Raises
        ConversionError for networks of the family that are none of ours.
        """

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

    def file_of(self, spec: NetworkSpec, public: Tensors, path: str) -> Mapping[str, Any]:
        """Return a file's content as the public code loads it, from `path`. Raises ConversionError
        for a network of sizes that the public code does not build."""


def shape_of(public: Tensors, name: str, dimensions: int) -> tuple[int, ...]:
    """Return the shape of a tensor that has so many dimensions; else ConversionError."""
    shape = tuple(public[name].shape) if name in public else None
    if shape is None or len(shape) != dimensions:
        found = "missing" if shape is None else f"{list(shape)}"
        raise ConversionError(f"{name} must have {dimensions} dimensions, but is {found}")
    return shape


def word(value: object) -> str:
    """Return a value from a file for a message: a short text, a number, or what it is."""
    if isinstance(value, str):
        return ascii(value[:LONGEST])
    if isinstance(value, bool | float | None) or (isinstance(value, int) and abs(value) < MOST):
        return str(value)
    return f"a {type(value).__name__}"
