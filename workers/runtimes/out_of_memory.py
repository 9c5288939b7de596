"""The libraries' errors of memory that ran short, as one error."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from workers.runtimes.base import OutOfMemory

SIGNS = (
    "failed to allocate memory",  # ONNX Runtime: its arena cannot grow
    "smaller than requested bytes",  # ONNX Runtime: the arena's own limit
    "out of memory",  # CUDA, and torch on CUDA
    "alloc_failed",  # cuDNN and cuBLAS
    "can't allocate memory",  # torch on the CPU
    "bad_alloc",
    "bad allocation",
)
"""Parts of messages, in lower case. Types do not tell: ONNX Runtime has one for every failed
operation, and TorchScript raises whatever its operations raise as RuntimeError."""


@contextlib.contextmanager
def reported_as_out_of_memory() -> Iterator[None]:
    """Raise OutOfMemory in place of a library's error that says so."""
    try:
        yield
    except Exception as error:
        message = str(error).lower()
        if not isinstance(error, OutOfMemory) and any(sign in message for sign in SIGNS):
            raise OutOfMemory(str(error).strip()) from error
        raise
