"""The interface of a layout: what converts one family of public checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from torch import Tensor

from models.spec import NetworkSpec
from models.wrong_file import WrongFile

Tensors = Mapping[str, Tensor]
PublicSpec = Mapping[str, Any]
"""The {name, args} by which public code builds a network, as read from a file: unchecked."""

LONGEST, MOST = 60, 10**15
"""The most characters of a word, and the largest number, that messages quote from a file."""


class ConversionError(WrongFile):
    """Weights that no layout recognises, or that are not exactly the tensors of its network."""


class Layout(Protocol):
    """One family of checkpoints."""

    def spec_of(
        self, public: Tensors, public_spec: PublicSpec | None, as_published: bool
    ) -> NetworkSpec | None:
        """Return the spec of the network that has these tensors; None for another family's.

        Shapes alone do not determine a network: `public_spec` is the file's own description, if it
        has one. With `as_published`, a file without one is taken for the network that its authors
        published. Raises ConversionError for networks of the family that we do not have.
        """

    def writes(self, spec: NetworkSpec) -> bool:
        """Return whether this family has a public name for every tensor of a network."""

    def name_of(self, spec: NetworkSpec, ours: str) -> str:
        """Return the public name of one of a network's tensors."""

    def shaped(self, spec: NetworkSpec, ours: str, tensor: Tensor) -> Tensor:
        """Return a view of one of a network's tensors in its public shape."""

    def unused(self, spec: NetworkSpec) -> Tensors:
        """Return the further tensors of public checkpoints: never trained, so always the same."""

    def implied(self, spec: NetworkSpec) -> Tensors:
        """Return our tensors that public checkpoints lack, with the values that all of them
        imply."""

    def file_of(self, spec: NetworkSpec, public: Tensors, path: str) -> Mapping[str, Any]:
        """Return the content of a file at `path` in the form that the public code loads. Raises
        ConversionError for a network of sizes that the public code does not build."""


def shape_of(public: Tensors, name: str, dimensions: int) -> tuple[int, ...]:
    """Return the shape of a tensor that has so many dimensions; else ConversionError."""
    shape = tuple(public[name].shape) if name in public else None
    if shape is None or len(shape) != dimensions:
        found = "missing" if shape is None else f"{list(shape)}"
        raise ConversionError(f"{name} must have {dimensions} dimensions, but is {found}")
    return shape


def word(value: object) -> str:
    """Return a value from a file for a message: short text, a number, or its type."""
    if isinstance(value, str):
        return ascii(value[:LONGEST])
    if isinstance(value, bool | float | None) or (isinstance(value, int) and abs(value) < MOST):
        return str(value)
    return f"a {type(value).__name__}"
