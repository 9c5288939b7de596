"""Tables of a TOML file as dataclasses: every value is of its field's type, and finite."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, get_type_hints

Table = TypeVar("Table")


def made(kind: type[Table], name: str, values: object) -> Table:
    """Return a table's dataclass. Raises ValueError, which names the table and the setting."""
    if not isinstance(values, Mapping):
        raise ValueError(f"[{name}] must be a table")
    hints = get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for setting, value in values.items():
        if setting not in fields:
            raise ValueError(f"[{name}] has no setting {setting!r}; it has {', '.join(fields)}")
        holds, words = TYPES[hints[setting]]
        if not holds(value):
            raise ValueError(f"{setting} in [{name}] must be {words}, got {str(value)[:60]!r}")
    for setting, field in fields.items():
        required = field.default is field.default_factory is dataclasses.MISSING
        if required and setting not in values:
            raise ValueError(f"[{name}] needs {setting}")
    return kind(**values)


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _number(value: object) -> bool:
    real = isinstance(value, int | float) and not isinstance(value, bool)
    return real and math.isfinite(value) and value >= 0  # type: ignore[arg-type, operator]


def _numbers(value: object) -> bool:
    return isinstance(value, list) and all(map(_number, value))


def _pairs(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(pair, list) and len(pair) == 2 and _number(pair[0]) and _whole(pair[1])
        for pair in value
    )


TYPES: Mapping[Any, tuple[Callable[[object], bool], str]] = {
    int: (_whole, "a whole number from 0 on"),
    float: (_number, "a number from 0 on"),
    str: (lambda value: isinstance(value, str), "a text"),
    Sequence[float]: (_numbers, "a list of numbers"),
    Sequence[tuple[float, int]]: (_pairs, "a list of pairs [start, patch]"),
    Mapping[str, Any]: (lambda value: isinstance(value, Mapping), "a table"),
}
"""By the type of a field: whether a value is of it, and words for the message."""
