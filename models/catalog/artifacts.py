"""The files of a model folder, whose sizes and checksums are checked before they are opened."""

from __future__ import annotations

import hashlib
from pathlib import Path

from models.catalog.records import CATALOG_FILE, CatalogError, Record


class Artifact(Record):
    """One file of the model folder. `file` is a plain name, never a path."""

    file: str
    sha256: str
    bytes: int


def read_verified(folder: Path, artifact: Artifact) -> bytes:
    """Return the content of an artifact. Raises CatalogError if it differs from its record.

    Open the model from these bytes, not from the file, which may be replaced at any time.
    """
    if Path(artifact.file).name != artifact.file:
        raise CatalogError(f"artifact {artifact.file!r} must be a plain file name")
    path = folder / artifact.file
    if not path.is_file():
        raise CatalogError(f"{path} is missing; restore it or export the model again")
    if not path.resolve().is_relative_to(folder.resolve()):
        raise CatalogError(f"{path} leads out of the folder; put the file itself there")
    content = bytes_of(path)
    if _described(artifact.file, content) != artifact:
        raise CatalogError(f"{path} differs from its checksum in {CATALOG_FILE}; restore it")
    return content


def verified(folder: Path, artifact: Artifact) -> Path:
    """Return the path of an artifact after checking its content as `read_verified` does."""
    read_verified(folder, artifact)
    return folder / artifact.file


def describe(path: Path) -> Artifact:
    """Return the catalog's record of a file."""
    return _described(path.name, path.read_bytes())


def _described(file: str, content: bytes) -> Artifact:
    return Artifact(file=file, sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))


def bytes_of(path: Path) -> bytes:
    """Return a file's content. Raises CatalogError with the reason if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise CatalogError(f"cannot read {path}: {error.strerror}") from error
