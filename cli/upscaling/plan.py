"""Where each result goes, decided before anything runs, so that no run destroys a file.

A result never takes the place of an input, under whatever name, nor that of another result of the
same run. It takes the place of an earlier file only where that was asked for.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path

from cli.upscaling.refusal import Refusal
from cli.upscaling.sources import STREAM, Identity, Source
from jobs.formats import SUFFIXES, ImageFormat

WRITTEN_SUFFIXES = {suffix: fmt for suffix, fmt in SUFFIXES.items() if fmt.written}
OTHER_SUFFIXES = (
    frozenset((".apng", ".ico", ".jfif", ".jif", ".jp2", ".jpe", ".pbm", ".pgm", ".pnm", ".ppm"))
    | {".psd", ".svg", ".tga"}
    | (SUFFIXES.keys() - WRITTEN_SUFFIXES.keys())
)
"""Suffixes of pictures, beside those of the formats that are written."""


class Existing(Enum):
    """What becomes of a result that exists already."""

    REFUSE = "refuse"
    SKIP = "skip"
    REPLACE = "replace"


@dataclass(frozen=True)
class Output:
    """Where results go: a file, standard output, or a folder."""

    path: Path | None
    """None for standard output."""
    one_file: bool

    @classmethod
    def of(cls, argument: str) -> Output:
        """Return what `-o` names. A path with the suffix of a picture is a file, unless it is a
        folder or ends in a slash. Raises Refusal for a suffix of which no picture is written."""
        path = Path(argument)
        if argument == STREAM:
            return cls(None, True)
        if path.is_dir() or argument.endswith((os.sep, "/")):
            return cls(path, False)
        suffix = path.suffix.lower()
        if suffix in OTHER_SUFFIXES:
            raise Refusal([f"{argument}: {suffix} is not written; {_written()} are"])
        if path.exists() and suffix not in WRITTEN_SUFFIXES:
            raise Refusal([f"{argument} is a file, with no suffix of a picture, and no folder"])
        return cls(path, suffix in WRITTEN_SUFFIXES)

    @property
    def folder(self) -> Path | None:
        """The folder of the results; None if they go to one file or to standard output."""
        return None if self.one_file else self.path

    @property
    def format(self) -> ImageFormat | None:
        """The format that the name of the one file states."""
        if self.path is None or not self.one_file:
            return None
        return WRITTEN_SUFFIXES[self.path.suffix.lower()]


@dataclass(frozen=True)
class Step:
    """One picture to make."""

    source: Source
    target: Path | None
    """None for standard output."""


@dataclass
class Plan:
    """All pictures of a run."""

    steps: list[Step] = field(default_factory=list)
    skipped: list[Step] = field(default_factory=list)
    """Whose result exists already."""


def plan(
    sources: Sequence[Source], output: Output, image_format: ImageFormat | None, existing: Existing
) -> Plan:
    """Return what is to be made. `image_format` is that of all results; None for each one's own.

    Results of one name in a folder are numbered. Raises Refusal if a result would take the place of
    an input, of another result or, with `Existing.REFUSE`, of any file; and for a target that
    cannot be written.
    """
    steps = _once([Step(source, _target(source, output, image_format)) for source in sources])
    if not output.one_file:
        steps = _with_own_names(steps)
    originals = {source.identity: source for source in sources if source.identity is not None}
    _refuse(_over_originals(steps, originals))
    _refuse(_together(steps))
    _refuse(_unwritable(steps))
    there = [step for step in steps if step.target is not None and os.path.lexists(step.target)]
    if existing is Existing.REFUSE:
        _refuse(f"{step.target} exists; say --skip-existing or --overwrite" for step in there)
    if existing is not Existing.SKIP:
        return Plan(steps)
    return Plan([step for step in steps if step not in there], there)


def named_for(path: Path, image_format: ImageFormat) -> Path:
    """Return a path whose suffix fits a format. A picture's suffix is replaced; behind any other
    name, which may end in a date or a version, the usual one is added."""
    suffix = path.suffix.lower()
    if WRITTEN_SUFFIXES.get(suffix) is image_format:
        return path
    usual = image_format.facts.suffixes[0]
    if suffix in WRITTEN_SUFFIXES or suffix in OTHER_SUFFIXES:
        return path.with_suffix(usual)
    return path.with_name(path.name + usual)


def identity_of(path: Path) -> Identity | None:
    """Return a file's identity, following links; None if there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _once(steps: Sequence[Step]) -> list[Step]:
    """Return the steps without those of a picture that is named twice, in whatever spelling."""
    unique: dict[object, Step] = {}
    for step in steps:
        unique.setdefault((step.source.identity or step.source, step.target), step)
    return list(unique.values())


def _with_own_names(steps: Sequence[Step]) -> list[Step]:
    """Number the results of one name, but for the first: `a.png`, `a-2.png`. The same sources in
    the same order get the same names, so that an interrupted run can go on."""
    key = _Keys()
    names = {key(step.target) for step in steps if step.target is not None}
    taken: set[str] = set()
    apart = []
    for step in steps:
        target, number = step.target, 1
        while target is not None and (
            key(target) in taken or (number > 1 and key(target) in names)
        ):
            number += 1
            target = _numbered(step.target, number)
        if target is not None:
            taken.add(key(target))
        apart.append(replace(step, target=target))
    return apart


def _numbered(target: Path | None, number: int) -> Path | None:
    return None if target is None else target.with_stem(f"{target.stem}-{number}")


def _target(source: Source, output: Output, image_format: ImageFormat | None) -> Path | None:
    if output.path is None or output.one_file:
        return output.path
    target = output.path / source.place
    made = image_format or (source.format and source.format.own_output)
    return target if made is None else named_for(target, made)


def _refuse(reasons: Iterable[str], most: int = 10) -> None:
    found = list(reasons)
    if len(found) > most:
        found[most:] = [f"and {len(found) - most} more like these"]
    if found:
        raise Refusal(found)


def _over_originals(steps: Sequence[Step], originals: dict[Identity, Source]) -> Iterator[str]:
    for step in steps:
        identity = None if step.target is None else identity_of(step.target)
        original = None if identity is None else originals.get(identity)
        if original is not None:
            yield (
                f"the result of {step.source.name}, {step.target}, is the input {original.name}; "
                "name another folder or file with -o"
            )


def _together(steps: Sequence[Step]) -> Iterator[str]:
    """Yield a reason for each two results of one name."""
    key = _Keys()
    first: dict[str, Step] = {}
    for step in steps:
        if step.target is None:
            continue
        other = first.setdefault(key(step.target), step)
        if other is not step:
            yield (
                f"{other.source.name} and {step.source.name} would both become {step.target}; "
                "name a folder with -o"
            )


class _Keys:
    """Names of targets as the file system compares them: some ignore case and Unicode's forms."""

    def __init__(self) -> None:
        self._folds: dict[Path, bool] = {}

    def __call__(self, target: Path) -> str:
        folder = _existing_folder(target)
        path = os.path.join(os.path.realpath(target.parent), target.name)
        if folder not in self._folds:
            self._folds[folder] = folds_case(folder)
        return unicodedata.normalize("NFC", path).casefold() if self._folds[folder] else path


def folds_case(folder: Path) -> bool:
    """Return whether an existing folder's file system takes names that differ in case for one, as
    far as the names of the folder and of those above show."""
    for path in (folder.absolute(), *folder.absolute().parents):
        other = path.with_name(path.name.swapcase()) if path.name else path
        if other != path:
            return other.exists() and other.samefile(path)
    return False


def _existing_folder(target: Path) -> Path:
    return next((above for above in target.parents if above.exists()), Path())


def _unwritable(steps: Sequence[Step]) -> Iterator[str]:
    """Yield a reason for each target that is a folder, or whose folder cannot be written."""
    writable: dict[Path, str] = {}
    for target in (step.target for step in steps):
        if target is None:
            continue
        if target.is_dir():
            yield f"{target} is a folder, where a result is to be written"
        folder = _existing_folder(target)
        if folder not in writable:
            writable[folder] = _fault_of(folder)
            if writable[folder]:
                yield f"{folder} {writable[folder]}, so {target} cannot be written"


def _fault_of(folder: Path) -> str:
    checks: tuple[tuple[Callable[[], bool], str], ...] = (
        (folder.is_dir, "is no folder"),
        (lambda: os.access(folder, os.W_OK | os.X_OK), "is not writable"),
    )
    return next((fault for holds, fault in checks if not holds()), "")


def _written() -> str:
    return ", ".join(WRITTEN_SUFFIXES)
