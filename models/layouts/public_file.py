"""Public checkpoint files: read without running their content, and written whole or not at all.

It reads the two formats of `torch.save`: a zip archive of a pickle and one record of bytes for each
storage, and, before torch 1.6, several pickles with the bytes behind them. A file's description of
its tensors is checked against its bytes before a tensor is made.
"""

from __future__ import annotations

import io
import math
import mmap
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn, cast

import torch
from torch import Tensor

from models.layouts.pickled import (
    BROKEN,
    MOST_BYTES,
    Described,
    PickleError,
    Storage,
    View,
    described,
)
from models.whole_file import written

MOST_TENSORS = 10_000
"""The most tensors of one network: five times those of the largest known here."""
KINDS: Mapping[str, torch.dtype] = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
"""Types by torch's names of their storages."""
PLACES = (("model", "sd"), ("state_dict",))
"""Where training code keeps a network's tensors."""
NAME = re.compile(r"[A-Za-z0-9_.-]{1,200}")
"""The form of tensors' names."""
WRAPPED = "module."
"""The prefix of every name after data-parallel training."""

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
"""The first two pickles of a file that is no archive."""

Record = Callable[[Storage], bytes]
"""Returns the bytes of a storage."""


class FileError(Exception):
    """A file is no checkpoint, or its tensors do not match their description."""


@dataclass(frozen=True)
class Public:
    """A network as a public checkpoint holds it."""

    tensors: Mapping[str, Tensor]
    """By public name, finite, in float32."""
    spec: Mapping[str, Any] | None = None
    """The {name, args} by which the public code builds it, unchecked; None where the file has
    none."""


def read(path: Path) -> Public:
    """Return the tensors of a checkpoint (the file's own, or those under model / sd or state_dict)
    and its description of the network.

    Raises OSError for a file that cannot be opened, and FileError with the reason for anything
    else.
    """
    with path.open("rb") as file:
        size = path.stat().st_size
        try:
            opened = _archive if zipfile.is_zipfile(file) else _pickles
            with opened(file, size) as (content, record):
                views = _views(content)
                _hold(views, size)
                return Public(_tensors(views, record), _public_spec(content))
        except (FileError, PickleError) as error:
            raise FileError(f"{path}: {error}") from error
        except (*BROKEN, NotImplementedError, RuntimeError, zipfile.BadZipFile) as error:
            raise FileError(f"{path} is no checkpoint, or a damaged one") from error


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Write a checkpoint, as `torch.save` does. Raises OSError."""
    with written(path) as partial, partial.open("wb") as file:
        try:
            torch.save(dict(content), file)
        except RuntimeError as error:  # torch raises this when the disk is full
            raise OSError(f"{path} cannot be written: {error}") from error


def single(name: str, tensor: Tensor) -> Tensor:
    """Return a tensor in float32; FileError if that would change its values."""
    if not tensor.is_floating_point():
        raise FileError(f"{name} holds {tensor.dtype} and not real numbers")
    made = tensor.float()
    if not torch.isfinite(made).all():
        raise FileError(f"{name} holds numbers that are not finite")
    if tensor.dtype == torch.float64 and not torch.equal(made.double(), tensor):
        raise FileError(f"{name} is in double precision, and would be rounded to single")
    return made


@contextmanager
def _archive(file: IO[bytes], size: int) -> Iterator[tuple[Any, Record]]:
    with zipfile.ZipFile(file) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        stored = all(e.compress_type == zipfile.ZIP_STORED for e in entries.values())
        if not stored or sum(e.file_size for e in archive.infolist()) > size:
            raise FileError("its archive says that it holds more than its bytes")
        pickled = [name for name in entries if name.rpartition("/")[2] == "data.pkl"]
        if len(pickled) != 1:
            raise FileError("its archive has no pickle of torch's, or several")
        if entries[pickled[0]].file_size > MOST_BYTES:
            raise FileError(f"its pickle has more than {MOST_BYTES} bytes")
        root = pickled[0].removesuffix("data.pkl")
        if f"{root}byteorder" in entries and archive.read(f"{root}byteorder") != b"little":
            raise FileError("its numbers are in the byte order of another machine")
        content = described(io.BytesIO(archive.read(pickled[0]))).content
        yield content, lambda storage: archive.read(f"{root}data/{storage.key}")


@contextmanager
def _pickles(file: IO[bytes], size: int) -> Iterator[tuple[Any, Record]]:
    if not size:
        raise FileError("the file is empty")
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as stream:
        lines = cast("IO[bytes]", stream)
        if [described(lines).content for _ in range(2)] != [MAGIC, PROTOCOL]:
            raise FileError("it was not written by torch.save")
        described(lines)  # the machine that wrote it
        main = described(lines)
        places = _places(stream, main, described(lines).content)
        yield main.content, lambda storage: stream[places[storage.key]]


def _places(stream: mmap.mmap, main: Described, keys: Sequence[str]) -> dict[str, slice]:
    """Return the place of each storage's bytes: its count in 8 bytes, then its numbers."""
    found = {}
    for key in keys:
        count = int.from_bytes(stream.read(8), "little")
        start = stream.tell()
        found[key] = slice(start, start + count * KINDS[main.storages[key].kind].itemsize)
        stream.seek(found[key].stop)
    return found


def _views(content: Any) -> dict[str, View]:
    """Return the views that are a network's tensors, by name."""
    for keys in PLACES:
        content = _under(content, keys)
    if not isinstance(content, dict) or not content:
        _lacks_tensors()
    if len(content) > MOST_TENSORS:
        raise FileError(f"it holds {len(content)} tensors, more than {MOST_TENSORS}")
    named = {name.removeprefix(WRAPPED): view for name, view in content.items()}
    views = {name: view for name, view in named.items() if isinstance(view, View)}
    if len(views) < len(content):
        _lacks_tensors()
    if not all(NAME.fullmatch(name) for name in views):
        raise FileError("it has tensors with names that no network gives")
    return views


def _lacks_tensors() -> NoReturn:
    raise FileError("it holds no tensors alone, neither by name nor under model / sd or state_dict")


def _under(content: Any, keys: Sequence[str]) -> Any:
    inner = content
    for key in keys:
        if not isinstance(inner, dict) or key not in inner:
            return content
        inner = inner[key]
    return inner


def _public_spec(content: Any) -> Mapping[str, Any] | None:
    model = content.get("model") if isinstance(content, dict) else None
    if not isinstance(model, dict) or "sd" not in model or not model.get("args"):
        return None
    return {"name": model.get("name"), "args": model["args"]}


def _hold(views: Mapping[str, View], size: int) -> None:
    """Raise FileError for tensors, each or all together, that are larger than their storages: with
    stride 0 one number can fill a billion places."""
    total = 0
    for name, view in views.items():
        kind = view.storage.kind
        if kind not in KINDS:
            raise FileError(f"{name} holds numbers of an unknown kind")
        if not view.size or 0 in view.size:
            raise FileError(f"{name} has no numbers, or no shape")
        count = math.prod(view.size)
        steps = zip(view.size, view.stride, strict=True)
        last = view.offset + sum((length - 1) * stride for length, stride in steps)
        if max(count - 1, last) >= view.storage.count:
            raise FileError(f"{name} is larger than what there is of it")
        total += count * KINDS[kind].itemsize
    if total > size:
        raise FileError("its tensors are larger than the file")


def _tensors(views: Mapping[str, View], record: Record) -> dict[str, Tensor]:
    made = {}
    storages: dict[str, Tensor] = {}
    for name, view in views.items():
        key = view.storage.key
        if key not in storages:
            storages[key] = _numbers(view.storage, record(view.storage))
        part = storages[key].as_strided(view.size, view.stride, view.offset)
        made[name] = single(name, part).clone(memory_format=torch.contiguous_format)
    return made


def _numbers(storage: Storage, content: bytes) -> Tensor:
    kind = KINDS[storage.kind]
    if len(content) < storage.count * kind.itemsize:
        raise FileError("it is cut off: numbers are missing")
    return torch.frombuffer(bytearray(content), dtype=kind, count=storage.count)
