"""Parameters and outputs of a request: those of `POST /upscale`, and how the picture is sent."""

from __future__ import annotations

import json
from collections.abc import Iterable

from jobs.errors import InvalidRequest
from jobs.formats import ImageFormat
from scheduling.request import UpscaleRequest, parse_request, shown
from service.inference.protocol import (
    BINARY_DATA,
    BINARY_OUTPUT,
    IMAGE,
    PIXELS,
    InferenceRequest,
    Parameter,
    WantedOutput,
)

RENAMED = {"budget_ms": "latency_budget_ms"}
"""A shorter name of a parameter."""
CONTENT_TYPE = "content_type"
"""Parameter by which some clients say that BYTES are in base64."""
FORMAT_OF_PIXELS = ImageFormat.PNG
"""Of a picture that came without a format of its own."""


def wishes(
    query: Iterable[tuple[str, str]], asked: InferenceRequest | None, model: str | None
) -> UpscaleRequest:
    """Return the parameters of an upscaling, from a request's query and JSON together, for the
    model that its path names, or None. Raises InvalidRequest."""
    parameters = {} if asked is None else asked.parameters
    in_json = ((name, _text(value)) for name, value in parameters.items() if name != BINARY_OUTPUT)
    pairs = [(RENAMED.get(name, name), value) for name, value in (*query, *in_json)]
    if any(name == "model" for name, _ in pairs):
        raise InvalidRequest("The path names the model; leave the parameter 'model' out.")
    wanted = parse_request(pairs)
    changed: dict[str, object] = {} if model is None else {"model": model}
    of_pixels = asked is not None and asked.inputs[0].name == PIXELS
    if of_pixels and wanted.format is None:
        changed["format"] = FORMAT_OF_PIXELS
    return wanted.model_copy(update=changed)


def _text(value: Parameter) -> str:
    """Return a value of JSON as a query has it."""
    return value if isinstance(value, str) else json.dumps(value)


def wants_binary(asked: InferenceRequest) -> bool:
    """Return whether the picture shall follow the JSON of the answer. Raises InvalidRequest for
    other outputs than `image`."""
    for output in asked.outputs:
        _check_output(output)
    if len(asked.outputs) > 1:
        raise InvalidRequest(f"Name the output '{IMAGE}' once.")
    binary = asked.parameters.get(BINARY_OUTPUT, False)
    for output in asked.outputs:
        binary = output.parameters.get(BINARY_DATA, binary)
    if not isinstance(binary, bool):
        raise InvalidRequest(f"'{BINARY_DATA}' and '{BINARY_OUTPUT}' must be true or false.")
    return binary


def _check_output(output: WantedOutput) -> None:
    if output.name != IMAGE:
        raise InvalidRequest(f"There is no output {shown(output.name)}; there is '{IMAGE}'.")
    for name in output.parameters:
        if name not in (BINARY_DATA, CONTENT_TYPE):
            raise InvalidRequest(f"An output has no parameter {shown(name)} here.")
