"""Pictures as bodies: sized, and read in pieces, so that a file is never in memory as a whole."""

from __future__ import annotations

import contextlib
import io
import os
import stat
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO


@dataclass(frozen=True)
class Url:
    """Where the service finds a picture: `https://host/path` or `s3://bucket/key`, as far as its
    operator allows."""

    text: str


@dataclass(frozen=True)
class Uploaded:
    """A picture that is in the service's store already, for one request."""

    id: str


Picture = bytes | bytearray | memoryview | str | os.PathLike[str] | BinaryIO | Url | Uploaded
"""An encoded picture: its bytes, the path of its file, a file that is open for reading, an address
from which the service fetches it, or what `upload` has returned."""

PIECE_BYTES = 1 << 18


@dataclass(frozen=True)
class Upload:
    """A picture that can be sent, as often as it has to be."""

    size: int
    """Bytes of the body."""
    opened: Callable[[], contextlib.AbstractContextManager[BinaryIO]]

    def pieces(self) -> Generator[bytes, None, None]:
        """Yield the body from its beginning. Raises OSError."""
        with self.opened() as file:
            while piece := file.read(PIECE_BYTES):
                yield piece


def upload_of(picture: Picture) -> Upload | None:
    """Return the body of a picture; None for one that the service gets elsewhere.

    A file that cannot be sought, as a pipe, is read here, because a repeated request begins anew.
    Raises OSError.
    """
    if isinstance(picture, Url | Uploaded):
        return None
    if isinstance(picture, bytes | bytearray | memoryview):
        return _of_bytes(bytes(picture))
    if isinstance(picture, str | os.PathLike):
        return _of_path(Path(picture))
    if not picture.seekable():
        return _of_bytes(picture.read())
    return _of_file(picture)


def text_of(text: str) -> Upload:
    """Return a body that is a text."""
    return _of_bytes(text.encode())


def _of_bytes(data: bytes) -> Upload:
    return Upload(len(data), lambda: io.BytesIO(data))


def _of_path(path: Path) -> Upload:
    state = path.stat()
    if not stat.S_ISREG(state.st_mode):
        return _of_bytes(path.read_bytes())
    return Upload(state.st_size, lambda: path.open("rb"))


def _of_file(file: BinaryIO) -> Upload:
    """Return the body from a file's present position on; the caller closes the file."""
    start = file.tell()
    size = file.seek(0, os.SEEK_END) - start

    @contextlib.contextmanager
    def opened() -> Iterator[BinaryIO]:
        file.seek(start)
        yield file

    file.seek(start)
    return Upload(size, opened)
