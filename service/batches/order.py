"""The body of POST /batches, and what is checked of it before any picture is fetched."""

from __future__ import annotations

import json
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from jobs.batch import BatchItem, BatchOrder, NewBatch
from jobs.errors import InvalidRequest
from models.catalog import Catalog
from scheduling.planning import chosen_model
from scheduling.request import UpscaleRequest, parse_request
from service.access.keys import Client
from service.outbound.urls import LONGEST_URL
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


class BatchRequest(BaseModel):
    """Many sources with one set of options."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sources: Annotated[list[BatchSource], Field(min_length=1)]
    options: dict[str, Scalar] = Field(
        default_factory=dict,
        description="Parameters of `POST /upscale`, the same for every source.",
        examples=[{"scale": 2, "format": "webp"}],
    )
    webhook_url: Annotated[str, Field(min_length=1)] | None = Field(
        None, description="URL to which the batch's end is announced by a signed POST."
    )
    durable: bool | None = Field(
        None, description="As of `POST /jobs`, of the batch with its sources."
    )

    def new_batch(self, batch_id: str, client: str) -> NewBatch:
        """Return the batch to keep for a client."""
        items = tuple(BatchItem(source.image_url, source.name) for source in self.sources)
        return NewBatch(batch_id, BatchOrder(client, self.texts), items)

    @property
    def texts(self) -> dict[str, str]:
        """The options as a query has them, whose grammar they then keep to."""
        return {name: _text(value) for name, value in self.options.items()}


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
