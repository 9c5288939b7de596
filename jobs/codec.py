"""Jobs, batches, run facts and heartbeats to and from JSON. Bytes that are read are not trusted,
and what is kept for long has a digest."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import (
    CoreConfig,
    PydanticSerializationError,
    SchemaValidator,
    from_json,
)

from jobs.batch import BatchItem, BatchOrder
from jobs.digests import sealed, unsealed
from jobs.heartbeat_parts import WorkerProfile, WorkerState
from jobs.job import Job, RunFacts

T = TypeVar("T", Job, RunFacts, WorkerState, WorkerProfile, BatchOrder, BatchItem)

KEYS = CoreConfig(cache_strings="keys")
"""pydantic would keep the last 16,384 short strings, of which an id or a digest never comes again:
1.3 MB, filled in hours. The keys are worth it."""


class CodecError(ValueError):
    """The bytes do not describe a valid object, or the object cannot be written as JSON."""


class Codec(Generic[T]):
    """Converts one dataclass to and from JSON bytes, with strict type checks both ways."""

    def __init__(self, kind: type[T], *, seals: bool = True) -> None:
        """With `seals`, what is written has its digest (`jobs.digests.sealed`)."""
        self._kind: type[T] = kind
        self._seals = seals
        self._adapter: TypeAdapter[T] = TypeAdapter(kind)
        # Of the adapter itself a dataclass lets nobody choose what is kept.
        self._validator = SchemaValidator(self._adapter.core_schema, KEYS)
        self._names = frozenset(field.name for field in fields(kind))

    def encode(self, value: T) -> bytes:
        """Return the JSON bytes of a value; CodecError if they could not be read back."""
        try:
            data = self._adapter.dump_json(value, warnings="error")
        except PydanticSerializationError as error:
            raise CodecError(f"cannot write {self._kind.__name__}: {error}") from error
        self._validated(data)  # NaN becomes null, which fails here and not at a reader
        return sealed(data) if self._seals else data

    def decode(self, data: bytes) -> T:
        """Return the value that the bytes describe. Raises CodecError for invalid or altered bytes,
        and for unknown members."""
        try:
            json = unsealed(data)
        except ValueError as error:
            raise CodecError(f"not a valid {self._kind.__name__}: {error}") from error
        value = self._validated(json)
        unknown = from_json(json, cache_strings="keys").keys() - self._names
        if unknown:
            raise CodecError(f"not a valid {self._kind.__name__}: unknown {sorted(unknown)}")
        return value

    def _validated(self, data: bytes) -> T:
        try:
            value: T = self._validator.validate_json(data, strict=True)
        except ValidationError as error:
            raise CodecError(f"not a valid {self._kind.__name__}: {error}") from error
        return value


JOB = Codec(Job)
RUN_FACTS = Codec(RunFacts)
WORKER_STATE = Codec(WorkerState, seals=False)  # written each second, and never kept
PROFILE = Codec(WorkerProfile, seals=False)
BATCH_ORDER = Codec(BatchOrder)
BATCH_ITEM = Codec(BatchItem)


def decode_details(data: bytes) -> dict[str, Any]:
    """Return the details of an error. Raises CodecError unless they are a JSON object."""
    try:
        details = from_json(data, cache_strings="keys")
    except ValueError as error:
        raise CodecError(f"not valid JSON: {error}") from error
    if not isinstance(details, dict):
        raise CodecError("an error's details must be a JSON object")
    return details
