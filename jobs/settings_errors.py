"""Settings read from the environment, with faults as sentences for the operator."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings
from pydantic_settings import SettingsError as UnreadableValue

LONGEST_ECHO = 80
"""Characters of a wrong value that a sentence repeats."""

WORDS = (
    ("Value error, ", ""),
    ("Input should ", "must "),
    ("String should ", "must "),
    ("a valid tuple", "a JSON list"),
    (", unable to parse string as an integer", ""),
    (", unable to parse string as a number", ""),
    (", unable to interpret input", ""),
)
"""(pydantic's words, ours)."""

SettingsT = TypeVar("SettingsT", bound=BaseSettings)


class SettingsError(ValueError):
    """A setting is wrong: the message names its variable, what is allowed, and its value."""


def settings_of(kind: type[SettingsT]) -> SettingsT:
    """Return the settings of a kind, from the environment. Raises SettingsError, with one line for
    each wrong setting."""
    try:
        return kind()
    except ValidationError as error:
        # Without its cause, whose text may hold a password.
        raise SettingsError("\n".join(_sentences(kind, error))) from None
    except UnreadableValue as error:
        raise SettingsError(_unreadable(kind, str(error))) from None


def variable_of(kind: type[BaseSettings], field: str) -> str:
    """Return the environment variable of a field."""
    alias = kind.model_fields[field].validation_alias
    return alias if isinstance(alias, str) else f"{_prefix(kind)}{field}".upper()


def _prefix(kind: type[BaseSettings]) -> str:
    return str(kind.model_config.get("env_prefix", ""))


def _sentences(kind: type[BaseSettings], error: ValidationError) -> Iterator[str]:
    by_variable = {variable_of(kind, field): field for field in kind.model_fields}
    for fault in error.errors(include_url=False):
        name = str(fault["loc"][0]) if fault["loc"] else ""
        field = by_variable.get(name.upper(), name)
        if field in kind.model_fields:
            echo = _echo(kind.model_fields[field], fault)
            yield f"{variable_of(kind, field)} {_allowed(fault)}{echo}."
        else:
            yield f"{_by_variables(kind, _allowed(fault))}."


def _allowed(fault: ErrorDetails) -> str:
    """Return what is allowed, as a clause that follows the variable's name."""
    text = fault["msg"]
    for pydantics, ours in WORDS:
        text = text.replace(pydantics, ours)
    return text


def _echo(field: FieldInfo, fault: ErrorDetails) -> str:
    """Return the clause with a field's value; empty for one that may hold a password."""
    if not field.repr or "SecretStr" in str(field.annotation):
        return ""
    value = fault["input"]
    if isinstance(value, SecretStr):
        return ""
    text = repr(value) if isinstance(value, str) else str(value)
    return f", but is {text if len(text) <= LONGEST_ECHO else f'{text[:LONGEST_ECHO]}…'}"


def _by_variables(kind: type[BaseSettings], text: str) -> str:
    """Return the message of a rule on several fields, with variables instead of their names."""
    words = (
        variable_of(kind, word) if word in kind.model_fields else word for word in text.split()
    )
    return " ".join(words)


def _unreadable(kind: type[BaseSettings], message: str) -> str:
    """Return the sentence for a value that is to be JSON and is not; pydantic-settings quotes the
    field in its message."""
    field = next((name for name in message.split('"')[1::2] if name in kind.model_fields), None)
    if field is None:
        return f"A setting cannot be read: {message}."
    return f'{variable_of(kind, field)} must be a JSON list, such as ["a", "b"].'
