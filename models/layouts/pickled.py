"""Reads the pickle of a checkpoint without constructing its objects.

`torch.load` constructs the objects of a pickle. With `weights_only` it calls only known functions,
but a pickle may still make them allocate gigabytes or run for minutes. Here the operations that
`torch.save` writes run on plain values: names are neither looked up nor called, a tensor is the
place of its numbers, and time and memory grow with the length of the pickle alone.
"""

from __future__ import annotations

import pickletools
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Any

MOST_BYTES = 1 << 21
"""Largest pickle: room for names and shapes of 10,000 tensors. Their numbers lie elsewhere."""
MOST_DIMENSIONS, MOST_NUMBERS = 8, 1 << 48
"""Of a tensor."""
LONGEST_NAME = 200

BROKEN = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    TypeError,
    ValueError,
    struct.error,
)
"""Errors of a reader on bytes that are no pickle, or one of another kind."""


class PickleError(Exception):
    """The bytes are not a pickle that `torch.save` writes."""


@dataclass(frozen=True)
class Named:
    """A name in a pickle, as "module name", or the object of calling it: neither is resolved."""

    name: str


@dataclass(frozen=True)
class Storage:
    """A storage: `count` numbers of the type that torch calls `kind`."""

    kind: str
    key: str
    count: int


@dataclass(frozen=True)
class View:
    """A tensor: a part of a storage. Its fields are the pickle's own and may be false."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


@dataclass(frozen=True)
class Described:
    """The content of a pickle."""

    content: Any
    """In dicts, lists, tuples, plain values and the classes above."""
    storages: Mapping[str, Storage]
    """All storages that it mentions, by key."""


def described(stream: IO[bytes]) -> Described:
    """Read the pickle at the stream's position, leaving the stream behind it. Raises
    PickleError."""
    reading = _Reading()
    start = stream.tell()
    try:
        for operation, argument, place in pickletools.genops(stream):
            if place is not None and place - start > MOST_BYTES:
                raise PickleError(f"its pickle has more than {MOST_BYTES} bytes")
            reading.follow(operation.name, argument)
        return Described(reading.stack.pop(), reading.storages)
    except BROKEN as error:
        raise PickleError("it is no pickle as torch writes them") from error


CONSTANTS = frozenset((
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
    "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE",
    "BINBYTES", "SHORT_BINBYTES",
))  # fmt: skip
FIXED: Mapping[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
}
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
PUTS = frozenset(("PUT", "BINPUT", "LONG_BINPUT"))
GETS = frozenset(("GET", "BINGET", "LONG_BINGET"))
WITHOUT_EFFECT = frozenset(("PROTO", "FRAME", "STOP"))


class _Reading:
    """The stack machine of the pickle format, run on plain values."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.storages: dict[str, Storage] = {}
        self.steps: Mapping[str, Callable[[], None]] = {
            "MARK": lambda: self.marks.append(len(self.stack)),
            "TUPLE": lambda: self.stack.append(tuple(self._since_mark())),
            "APPEND": lambda: self._append([self.stack.pop()]),
            "APPENDS": lambda: self._append(self._since_mark()),
            "SETITEM": lambda: self._set_items(self._last(2)),
            "SETITEMS": lambda: self._set_items(self._since_mark()),
            "STACK_GLOBAL": lambda: self.stack.append(_named(*self._last(2))),
            "MEMOIZE": lambda: self.memo.update({len(self.memo): self.stack[-1]}),
            "BINPERSID": self._mention,
            "REDUCE": lambda: self.stack.append(_made(*self._last(2))),
            "NEWOBJ": lambda: self.stack.append(_made(*self._last(2))),
            "BUILD": lambda: self._last(1).clear(),  # nothing is constructed
        }

    def follow(self, operation: str, argument: Any) -> None:
        if operation in CONSTANTS:
            self.stack.append(argument)
        elif operation in FIXED:
            self.stack.append(FIXED[operation]())
        elif operation in TUPLES:
            self.stack.append(tuple(self._last(TUPLES[operation])))
        elif operation in PUTS:
            self.memo[int(argument)] = self.stack[-1]
        elif operation in GETS:
            self.stack.append(self.memo[int(argument)])
        elif operation == "GLOBAL":
            self.stack.append(_named(argument))
        elif operation not in WITHOUT_EFFECT:
            self.steps[operation]()

    def _last(self, count: int) -> list[Any]:
        """Pop the last `count` values off the stack; IndexError if there are fewer."""
        return [self.stack.pop() for _ in range(count)][::-1]

    def _since_mark(self) -> list[Any]:
        place = self.marks.pop()
        taken = self.stack[place:]
        del self.stack[place:]
        return taken

    def _mention(self) -> None:
        storage = _storage(self.stack.pop())
        if self.storages.setdefault(storage.key, storage) != storage:
            raise PickleError("it says two things of the same numbers")
        self.stack.append(storage)

    def _append(self, values: list[Any]) -> None:
        # Objects that a Named stands for may take items as well.
        if isinstance(self.stack[-1], list):
            self.stack[-1].extend(values)

    def _set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, dict):
            pairs = zip(items[::2], items[1::2], strict=True)
            # Other keys name no tensor, and hashing nested ones may take forever.
            target.update((key, value) for key, value in pairs if isinstance(key, str))


def _made(function: Any, arguments: Any) -> Any:
    """Return a stand-in for the result of a call."""
    name = function.name
    if name == "collections OrderedDict" and arguments == ():
        return {}
    if name in ("torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_tensor"):
        return _view(*arguments[:4])
    if name == "torch._utils _rebuild_parameter":
        return arguments[0]
    return Named(name)


def _named(*words: str) -> Named:
    # A pickle may use one value a million times, so all values are kept short.
    if sum(map(len, words)) > LONGEST_NAME:
        raise PickleError("it names what nothing is called")
    return Named(" ".join(words))


def _view(storage: Any, offset: Any, size: Any, stride: Any) -> View:
    if not isinstance(storage, Storage) or not len(size) == len(stride) <= MOST_DIMENSIONS:
        raise PickleError("it has a tensor without numbers")
    if not all(type(n) is int and 0 <= n < MOST_NUMBERS for n in (offset, *size, *stride)):
        raise PickleError("it has a tensor of no size")
    return View(storage, offset, tuple(size), tuple(stride))


def _storage(persistent: Any) -> Storage:
    """Return the storage of torch.save's ("storage", type, key, device, count, ...)."""
    word, kind, key, _, count, *rest = persistent[:6]
    if word != "storage" or not isinstance(key, str) or type(count) is not int or any(rest):
        raise PickleError("it has numbers of an unknown kind")
    return Storage(kind.name.removeprefix("torch "), key, count)
