"""The body of POST /batches, and what is checked of it before any picture is fetched."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError, model_validator

from jobs.batch import BatchItem
from jobs.errors import AnysrError, InvalidRequest, from_code
from jobs.terms import ResultTarget
from models.catalog import Catalog
from scheduling.planning import chosen_model
from scheduling.request import UpscaleRequest, check_one_destination, parse_request
from service.access.keys import Client
from service.outbound.urls import LONGEST_URL
from service.results.destinations import Placed
from service.sources.parameter import DESCRIPTION

LONGEST_NAME = 255
MEAN_SOURCE_BYTES = 4096
"""Of JSON for one source, on average: a presigned URL has up to 3,000."""
LEAST_BODY_BYTES = 1 << 16
Scalar = str | bool | int | float
"""A parameter's value, as JSON has it."""


class BatchSource(BaseModel):
    """One source of a batch."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    image_url: Annotated[str, Field(min_length=1, max_length=LONGEST_URL)] = Field(
        description=DESCRIPTION, examples=["https://images.example.com/photo.jpg"]
    )
    name: Annotated[str, Field(max_length=LONGEST_NAME)] | None = Field(
        None, description="What the caller calls it; it comes back with the source."
    )
    result: Annotated[str, Field(min_length=1, max_length=LONGEST_URL)] | None = Field(
        None,
        description="Where its picture is put: `s3://bucket/key` of a bucket in `ANYSR_BUCKETS`.",
        examples=["s3://pictures/out/photo.webp"],
    )
    result_url: Annotated[str, Field(min_length=1, max_length=LONGEST_URL)] | None = Field(
        None,
        description="URL to which its picture is PUT, such as a presigned one; its host must be in "
        "`ANYSR_RESULT_HOSTS`.",
    )

    @model_validator(mode="after")
    def one_destination(self) -> Self:
        """Raise ValueError for two."""
        check_one_destination(self.result, self.result_url)
        return self


class BatchRequest(BaseModel):
    """Many sources with one set of options."""

    # Addresses rarely come again, so pydantic need not keep them.
    model_config = ConfigDict(extra="forbid", frozen=True, cache_strings="keys")

    sources: Annotated[list[BatchSource], Field(min_length=1)]
    options: dict[str, Scalar] = Field(
        default_factory=dict,
        description="Parameters of `POST /upscale`, the same for every source.",
        examples=[{"scale": 2, "format": "webp"}],
    )
    webhook_url: Annotated[str, Field(min_length=1)] | None = Field(
        None, description="URL to which the batch's end is announced by a signed POST."
    )
    durable: StrictBool | None = Field(
        None, description="As of `POST /jobs`, of the batch with its sources."
    )

    def items(self, target: Callable[[Placed], ResultTarget | None]) -> tuple[BatchItem, ...]:
        """Return the sources to keep; `target` checks where a picture is to be put. Raises its
        error for the first source that may not be put where it should."""
        return tuple(
            BatchItem(source.image_url, source.name, _placed(index, source, target))
            for index, source in enumerate(self.sources)
        )

    @property
    def texts(self) -> dict[str, str]:
        """The options as a query has them, whose grammar they then keep to."""
        return {name: _text(value) for name, value in self.options.items()}


def _placed(
    index: int, source: BatchSource, target: Callable[[Placed], ResultTarget | None]
) -> ResultTarget | None:
    try:
        return target(source)
    except AnysrError as error:
        detail = f"sources.{index}: {error.detail}"
        raise from_code(error.code, detail, **error.details) from None


def largest_body(sources: int) -> int:
    """Return the most bytes of a body, where so many sources are allowed."""
    return max(LEAST_BODY_BYTES, sources * MEAN_SOURCE_BYTES)


def read_batch(body: bytes, most_sources: int) -> BatchRequest:
    """Return the batch that a body asks for. Raises InvalidRequest, which names the first fault."""
    try:
        batch = BatchRequest.model_validate_json(body)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, fault["loc"]))
        text = f"{where}: {fault['msg']}" if where else f"The body must be JSON: {fault['msg']}"
        raise InvalidRequest(f"{text}.") from None
    if len(batch.sources) > most_sources:
        raise InvalidRequest(f"A batch may have {most_sources} sources, got {len(batch.sources)}.")
    return batch


def check_options(batch: BatchRequest, client: Client, catalog: Catalog, max_ms: float) -> None:
    """Check what would fail for every source alike: parameters, model, and the budget, of which
    `max_ms` is the service's largest. Raises InvalidRequest, UnknownModel, ModelNotTrained and
    ModelNotAllowed."""
    wanted = wishes(batch.texts)
    if wanted.model is not None:
        chosen_model(wanted, catalog)
        client.check_model(wanted.model)
    largest_ms = client.largest_budget_ms(max_ms)
    if wanted.latency_budget_ms is not None and wanted.latency_budget_ms > largest_ms:
        raise InvalidRequest(f"latency_budget_ms may be at most {largest_ms:g}.")


def wishes(options: dict[str, str]) -> UpscaleRequest:
    """Return the parameters of a batch's jobs. Raises InvalidRequest."""
    return parse_request(options.items())


def _text(value: Scalar) -> str:
    return value if isinstance(value, str) else json.dumps(value)
