"""What runs: the version of this package, and of the interpreter and the engines below it."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

PACKAGE = "anysr-serve"
ENGINES = ("onnxruntime", "onnxruntime-gpu", "openvino", "torch")
"""Packages that run networks; a worker has some of them."""


def package_version() -> str:
    """Return this package's version, `0` where it runs without being installed."""
    return _installed(PACKAGE) or "0"


def runtime(packages: Iterable[str] = ()) -> str:
    """Return the interpreter and the installed ones of `packages` with their versions, such as
    `python 3.12.3, onnxruntime 1.24.1`."""
    found = [f"{name} {number}" for name in packages if (number := _installed(name))]
    return ", ".join((f"python {platform.python_version()}", *found))


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
