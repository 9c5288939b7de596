"""The fuzz targets: one module per reader of foreign bytes, each with its TARGET."""

from __future__ import annotations

from importlib import import_module

from tests.fuzz.target import Target

NAMES = (
    "header",
    "decode",
    "exif",
    "metadata",
    "form",
    "upload",
    "parameters",
    "inference",
    "graph",
)


def target(name: str) -> Target:
    """Return a target by its name. Its module is imported only here, so that the fuzzer can
    instrument it and all that it imports."""
    found = import_module(f"{__name__}.{name}").TARGET
    assert isinstance(found, Target)
    return found
