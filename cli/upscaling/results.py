"""Writes results: whole or not at all, and never over an input or another result.

A result is written to a hidden file in its folder and renamed at the end. What is left after a
machine has lost its power is such a file, which no later run takes for a picture.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path

from cli.upscaling.plan import identity_of
from cli.upscaling.sources import Identity


class Results:
    """The files that a run writes. `originals` are its inputs, which no result replaces; other
    files are replaced only if `overwrite`."""

    def __init__(self, originals: Iterable[Identity], overwrite: bool) -> None:
        self._kept = set(originals)
        self._overwrite = overwrite

    def write(self, target: Path, picture: bytes) -> None:
        """Write a result, creating its folder. Raises OSError; `target` is then as it was."""
        target.parent.mkdir(parents=True, exist_ok=True)
        if identity_of(target) in self._kept:
            raise FileExistsError(0, "is an input or another result of this run", str(target))
        with _hidden(target.parent) as partial:
            with partial.open("wb") as file:
                file.write(picture)
                file.flush()
                os.fsync(file.fileno())
            if self._overwrite:
                partial.replace(target)
            else:
                _rename_to_new(partial, target)
        made = identity_of(target)
        if made is not None:
            self._kept.add(made)


@contextlib.contextmanager
def _hidden(folder: Path) -> Iterator[Path]:
    """Yield a new hidden file in a folder, and remove it unless it was renamed."""
    path = folder / f".anysr-{secrets.token_hex(8)}.partial"
    try:
        path.touch(exist_ok=False)
        yield path
    finally:
        path.unlink(missing_ok=True)


def _rename_to_new(path: Path, target: Path) -> None:
    """Rename a file; FileExistsError if there is a target by now."""
    try:
        os.link(path, target)
    except FileExistsError:
        raise FileExistsError(0, "exists by now, and is kept", str(target)) from None
    except OSError:  # file systems without hard links
        if os.path.lexists(target):
            raise FileExistsError(0, "exists by now, and is kept", str(target)) from None
        path.rename(target)
