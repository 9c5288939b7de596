"""The JSON of a request, read within bounds of size, depth and number of values."""

from __future__ import annotations

import json
from typing import NoReturn

from pydantic import ValidationError

from jobs.errors import InvalidRequest
from scheduling.request import shown
from service.inference.protocol import BINARY_SIZE, InferenceRequest

LONGEST_JSON = 16 << 20
"""Bytes: a picture of 12 MiB in base64. A request takes twice its JSON of memory, which is then no
more than a body of the default `ANYSR_MAX_BODY_BYTES`."""
MOST_CONTAINERS = 100
"""Objects and arrays; bounds their depth as well."""
MOST_VALUES = 1000
"""Text has no bound but its length."""


def read_document(text: str) -> InferenceRequest:
    """Return the request that a JSON text describes. Raises InvalidRequest."""
    _check_extent(text)
    try:
        # Python's own parser would accept NaN and Infinity.
        members = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"The body is not JSON: {error}.") from None
    try:
        return InferenceRequest.model_validate(members)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        sentences = (f"{_place(fault['loc'])}: {fault['msg']}" for fault in faults[:5])
        raise InvalidRequest("; ".join(dict.fromkeys(sentences)) + ".") from None


def _check_extent(text: str) -> None:
    """Raise InvalidRequest for more values than a request needs, before any is made: an empty
    object of two bytes takes 64 in memory. Marks within texts count as well; base64 has none."""
    containers = text.count("{") + text.count("[")
    if containers > MOST_CONTAINERS or text.count(",") > MOST_VALUES:
        raise InvalidRequest(
            f"The JSON has more than {MOST_CONTAINERS} objects and arrays, or {MOST_VALUES} "
            f"values; send tensors as binary data after it, with '{BINARY_SIZE}'."
        )


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _place(path: tuple[int | str, ...]) -> str:
    """Return where a fault is, such as `inputs.0.shape`; what a caller named is cut."""
    steps = (
        str(step) if isinstance(step, int) or step.isidentifier() else shown(step)
        for step in path[:4]
    )
    return ".".join(steps)[:200] or "request"
