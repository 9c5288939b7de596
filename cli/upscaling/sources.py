"""The pictures that the arguments of `anysr upscale` name, and what beside them is passed over.

A file that is named is always taken. In a folder, with all below it, files with a picture's suffix
are taken, and others whose first bytes are those of a picture. Hidden files and folders are passed
over, so that neither the `._` files of macOS nor unfinished results are taken.
"""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cli.upscaling.refusal import Refusal
from images.signature import format_of
from jobs.errors import AnimatedImage, AnysrError
from jobs.formats import SUFFIXES, ImageFormat

STREAM = "-"
"""The argument that stands for standard input or output."""
READ_BYTES = 1 << 16
"""Of each file, to find its format."""
WILDCARDS = "*?["

Identity = tuple[int, int]
"""Device and number of a file, equal for all of its names."""


@dataclass(frozen=True)
class Source:
    """A picture to upscale."""

    path: Path | None
    """None for standard input."""
    place: Path
    """Its name, or its path below the folder that was named."""
    format: ImageFormat | None = None
    """By its first bytes; None if they are not those of a picture."""
    identity: Identity | None = None

    @property
    def name(self) -> str:
        return "standard input" if self.path is None else str(self.path)


@dataclass
class Sources:
    """What the arguments of a command name."""

    taken: list[Source] = field(default_factory=list)
    passed_over: list[tuple[Path, str]] = field(default_factory=list)
    """Files and folders that are no input, with the reason."""
    unread: list[OSError] = field(default_factory=list)
    """Folders that could not be listed."""


def find_sources(arguments: Sequence[str], output: Path | None = None) -> Sources:
    """Return the pictures that `arguments` name: files, folders, patterns, or standard input.

    A picture that is named twice is taken once. The folder `output`, with the results of an earlier
    run, is passed over within another one. Raises Refusal for arguments that name nothing.
    """
    missing: list[str] = []
    found = Sources()
    for argument in arguments:
        paths = list(_expanded(argument))
        if not paths:
            pattern = any(sign in argument for sign in WILDCARDS)
            missing.append(f"{'no file matches' if pattern else 'there is no'} {argument}")
        for path in paths:
            _take(path, output, found)
    if missing:
        raise Refusal(missing)
    found.taken = list(dict.fromkeys(found.taken))
    return found


def _expanded(argument: str) -> Iterator[str]:
    """Yield a path, or those that match a pattern which the shell left alone."""
    if argument == STREAM or os.path.lexists(argument):
        yield argument
    elif any(sign in argument for sign in WILDCARDS):
        yield from sorted(glob.glob(argument, recursive=True))


def _take(argument: str, output: Path | None, found: Sources) -> None:
    path = Path(argument)
    if argument == STREAM:
        found.taken.append(Source(None, Path("stdin")))
    elif path.is_dir():
        for file in _files_below(path, output, found):
            _take_of_folder(file, path, found)
    else:
        found.taken.append(_source(path, Path(path.name)))


def _source(path: Path, place: Path) -> Source:
    try:
        status = path.stat()
    except OSError:
        return Source(path, place)  # its reading will tell why
    kind = _format(path) if stat.S_ISREG(status.st_mode) else None
    image_format = kind if isinstance(kind, ImageFormat) else None
    return Source(path, place, image_format, (status.st_dev, status.st_ino))


def _files_below(top: Path, output: Path | None, found: Sources) -> Iterator[Path]:
    """Yield all that is no folder below one, in the order of names."""
    for folder, folders, files in os.walk(top, onerror=found.unread.append):
        here = Path(folder)
        folders[:] = sorted(_walked(here, folders, output, found))
        for name in sorted(files):
            if name.startswith("."):
                found.passed_over.append((here / name, "hidden"))
            else:
                yield here / name


def _walked(here: Path, names: Iterable[str], output: Path | None, found: Sources) -> Iterator[str]:
    for name in sorted(names):
        path = here / name
        if name.startswith("."):
            found.passed_over.append((path, "hidden"))
        elif path.is_symlink():
            found.passed_over.append((path, "a link to a folder"))
        elif output is not None and output.exists() and path.samefile(output):
            found.passed_over.append((path, "the folder of the results"))
        else:
            yield name


def _take_of_folder(path: Path, folder: Path, found: Sources) -> None:
    """Take a file found in a folder, or pass it over."""
    source = _source(path, path.relative_to(folder))
    if source.identity is None:
        found.passed_over.append((path, "leads to no file"))
    elif not path.is_file():
        found.passed_over.append((path, "not a file"))
    elif source.format is None and path.suffix.lower() not in SUFFIXES:
        found.passed_over.append((path, str(_format(path))))
    else:
        found.taken.append(source)


def _format(path: Path) -> ImageFormat | str:
    """Return the format of a file by its first bytes, or the reason why it has none."""
    try:
        with path.open("rb") as file:
            return format_of(file.read(READ_BYTES))
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    except AnimatedImage as error:
        return error.detail
    except AnysrError:
        return "no picture that can be read"
