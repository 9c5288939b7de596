"""Jobs, run facts and heartbeats as JSON bytes, and back. What is read back is not trusted."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError, from_json

from jobs.job import Job, RunFacts, WorkerHeartbeat

T = TypeVar("T", Job, RunFacts, WorkerHeartbeat)


class CodecError(ValueError):
    """The bytes are not what they should be, or the object cannot be written as JSON."""


class Codec(Generic[T]):
    """One dataclass to and from JSON bytes. Types are checked strictly, both ways."""

    def __init__(self, kind: type[T]) -> None:
        self._kind: type[T] = kind
        self._adapter: TypeAdapter[T] = TypeAdapter(kind)
        self._names = frozenset(field.name for field in fields(kind))

    def encode(self, value: T) -> bytes:
        """Return the JSON bytes of a value; CodecError if they could not be read back."""
        try:
            data = self._adapter.dump_json(value, warnings="error")
        except PydanticSerializationError as error:
            raise CodecError(f"cannot write {self._kind.__name__}: {error}") from error
        self.decode(data)  # NaN and the like are written as null: found here, not by a reader
        return data

    def decode(self, data: bytes) -> T:
        """Return the value that the bytes describe; CodecError if they do not, or say more."""
        try:
            value = self._adapter.validate_json(data, strict=True)
        except ValidationError as error:
            raise CodecError(f"not a valid {self._kind.__name__}: {error}") from error
        unknown = from_json(data).keys() - self._names
        if unknown:
            raise CodecError(f"not a valid {self._kind.__name__}: unknown {sorted(unknown)}")
        return value


JOB = Codec(Job)
RUN_FACTS = Codec(RunFacts)
HEARTBEAT = Codec(WorkerHeartbeat)


def decode_details(data: bytes) -> dict[str, Any]:
    """Return an error's details; CodecError if they are not a JSON object."""
    try:
        details = from_json(data)
    except ValueError as error:
        raise CodecError(f"not valid JSON: {error}") from error
    if not isinstance(details, dict):
        raise CodecError("an error's details must be a JSON object")
    return details
