"""Files and folders that are written whole or not at all, whatever interrupts the writing."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def written(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write to, which is renamed to it at the end. On failure nothing
    is left, and `path` is as it was. Raises OSError, for a folder before anything is written."""
    if path.is_dir():
        raise IsADirectoryError(0, "is a folder, where a file is to be written", str(path))
    partial = path.with_name(f".{path.name[:200]}.{secrets.token_hex(4)}.partial")
    try:
        # Made at once, so that a folder that is missing or cannot be written fails by its name.
        try:
            partial.touch(exist_ok=False)
        except OSError as error:
            raise type(error)(error.errno, error.strerror, str(path)) from error
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextlib.contextmanager
def folder_for(folder: Path) -> Iterator[None]:
    """Make a folder for what is written inside the block. One that is new and still empty at the
    end, because the block failed, is removed. Raises OSError."""
    new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        if new and not any(folder.iterdir()):
            folder.rmdir()
