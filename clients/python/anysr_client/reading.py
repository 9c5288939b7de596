"""Reads the service's JSON into dataclasses. Members that they lack are passed over, so that a
newer service can be called."""

from __future__ import annotations

import json
import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from anysr_client.errors import UnexpectedAnswer

T = TypeVar("T")


def read_json(kind: type[T], body: bytes | str) -> T:
    """Return a dataclass from a JSON object. Raises UnexpectedAnswer where it does not fit."""
    try:
        made: T = _value(kind, json.loads(body))
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise UnexpectedAnswer(f"no {kind.__name__} of AnySR: {error}") from error
    return made


def _value(kind: Any, given: Any) -> Any:
    """Return a value of JSON as the type of a dataclass's field."""
    if is_dataclass(kind):
        return _record(kind, given)
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        others = [one for one in inner if one is not type(None)]
        return None if given is None else _value(others[0], given)
    if origin is tuple:
        return _tuple(inner, given)
    if origin is Mapping:
        return {str(name): _value(inner[1], value) for name, value in given.items()}
    return _plain(kind, given)


def _plain(kind: Any, given: Any) -> Any:
    if kind is Any or get_origin(kind) is Literal:
        return given
    expected = (int, float) if kind is float else kind
    if not isinstance(given, expected) or (isinstance(given, bool) and kind is not bool):
        raise TypeError(f"{given!r} is no {kind.__name__}")
    return kind(given)


def _tuple(inner: tuple[Any, ...], given: Any) -> tuple[Any, ...]:
    if not isinstance(given, list):
        raise TypeError(f"{given!r} is no list")
    if inner[-1] is Ellipsis:
        return tuple(_value(inner[0], one) for one in given)
    return tuple(_value(kind, one) for kind, one in zip(inner, given, strict=True))


def _record(kind: Any, given: Any) -> Any:
    hints = _hints(kind)
    found = {name: _value(hint, given[name]) for name, hint in hints.items() if name in given}
    for field in fields(kind):
        if field.name not in found and field.default is MISSING:
            raise LookupError(f"{kind.__name__} has no {field.name}")
    return kind(**found)


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)
