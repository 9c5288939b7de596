"""C libraries that imagecodecs and pi-heif bring, for what their own functions cannot do."""

from __future__ import annotations

import ctypes
import importlib.util
from collections.abc import Mapping

Signatures = Mapping[str, tuple[object, list[object]]]
"""Result and arguments of functions, by name."""


def bundled_library(module: str, functions: Signatures) -> ctypes.CDLL | None:
    """Return the library in an extension module, or that it is linked to, with these functions
    declared; None where there is none, it cannot be loaded, or it was linked without its symbols.
    """
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        return None
    try:
        library = ctypes.CDLL(spec.origin)
        for name, (result, arguments) in functions.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError):
        return None
    return library
