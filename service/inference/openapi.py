"""OpenAPI descriptions of the protocol's routes."""

from __future__ import annotations

from http import HTTPStatus

from scheduling.request import UpscaleRequest
from service.inference.protocol import BINARY, HEADER_LENGTH, JSON, InferenceError
from service.openapi import (
    ACCESS_CODES,
    IDEMPOTENCY_KEY,
    RUN_CODES,
    UPLOAD_CODES,
    UPLOAD_REFUSALS,
    Json,
    problem_answers,
    properties_of,
    refusals,
)
from service.openapi import (
    BINARY as BINARY_SCHEMA,
)
from service.picture_response import PICTURE_HEADERS

NOT_FOUND = (HTTPStatus.NOT_FOUND.value, "`not_found`: there is no such model, or no such version.")
MISDIRECTED = (
    HTTPStatus.MISDIRECTED_REQUEST.value,
    "`misdirected_request`: the Host header names a host that is not served here.",
)
BY_ADDRESS = frozenset(
    {
        *("address_refused", "source_not_allowed", "bucket_not_allowed", "remote_unreachable"),
        *("remote_too_slow", "too_many_redirects", "remote_refused", "source_changed"),
        *("bucket_denied", "object_not_found"),
    }
)
"""Codes of pictures by address, which the protocol does not carry."""
TEXT: Json = {"type": "string"}
FREE: Json = {"type": "object", "additionalProperties": True}
LENGTH: Json = {
    "description": f"Bytes of the JSON, where binary data follows it ({BINARY}).",
    "schema": {"type": "integer", "minimum": 0},
}


def server_answers(*codes: str) -> dict[int | str, Json]:
    """Return the responses of a route of the server: errors of these codes."""
    return _errors(refusals(MISDIRECTED) | problem_answers("internal_error", *codes))


def model_answers(*codes: str) -> dict[int | str, Json]:
    """Return the responses of a route of a model that are errors of these codes, or of all."""
    every = (*ACCESS_CODES, "internal_error", *codes)
    return _errors(refusals(MISDIRECTED, NOT_FOUND) | problem_answers(*every))


def infer_answers() -> dict[int | str, Json]:
    """Return the responses of an inference."""
    codes = [code for code in (*UPLOAD_CODES, *RUN_CODES) if code not in BY_ADDRESS]
    errors = refusals(MISDIRECTED, NOT_FOUND, *UPLOAD_REFUSALS)
    errors |= problem_answers(*codes, "result_expired")
    return {HTTPStatus.OK.value: _answer(), **_errors(errors)}


def infer_request() -> Json:
    """Return the `openapi_extra` of an inference."""
    header = {"name": HEADER_LENGTH, "in": "header", "required": False, **LENGTH}
    return {
        "parameters": [IDEMPOTENCY_KEY, header],
        "requestBody": {
            "required": True,
            "description": f"JSON, or with {HEADER_LENGTH} JSON and the input's bytes after it.",
            "content": {JSON: {"schema": _request()}, BINARY: {"schema": BINARY_SCHEMA}},
        },
    }


def _errors(answers: dict[int | str, Json]) -> dict[int | str, Json]:
    """Return the responses of problems in the protocol's form."""
    kept = ("description", "headers")
    return {
        status: {"model": InferenceError, **{k: answer[k] for k in kept if k in answer}}
        for status, answer in answers.items()
    }


def _request() -> Json:
    parameters = properties_of(UpscaleRequest.model_json_schema())
    del parameters["model"]  # which the path names
    return {
        "type": "object",
        "title": "InferenceRequest",
        "required": ["inputs"],
        "properties": {
            "id": TEXT,
            "parameters": {
                "type": "object",
                "title": "InferenceParameters",
                "description": "Those of `POST /upscale`; its `latency_budget_ms` also as "
                "`budget_ms`.",
                "properties": parameters | {"binary_data_output": {"type": "boolean"}},
            },
            "inputs": {"type": "array", "items": _tensor(), "minItems": 1, "maxItems": 1},
            "outputs": {
                "type": "array",
                "maxItems": 1,
                "items": {
                    "type": "object",
                    "title": "InferenceWantedOutput",
                    "required": ["name"],
                    "properties": {"name": TEXT, "parameters": FREE},
                },
            },
        },
    }


def _tensor() -> Json:
    return {
        "type": "object",
        "title": "InferenceTensor",
        "required": ["name", "datatype", "shape"],
        "properties": {
            "name": TEXT,
            "datatype": TEXT,
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 1}},
            "parameters": FREE,
            "data": {
                "type": "array",
                "items": TEXT,
                "description": "The picture in base64; none if its bytes follow the JSON.",
            },
        },
    }


def _answer() -> Json:
    schema: Json = {
        "type": "object",
        "title": "InferenceAnswer",
        "required": ["model_name", "model_version", "outputs"],
        "properties": {
            **dict.fromkeys(("model_name", "model_version", "id"), TEXT),
            "parameters": FREE | {"description": "How the picture was made."},
            "outputs": {"type": "array", "items": _tensor()},
        },
    }
    headers = {
        name: {"description": text, "schema": TEXT} for name, text in PICTURE_HEADERS.items()
    }
    return {
        "description": "The output `image`, one encoded picture.",
        "content": {JSON: {"schema": schema}, BINARY: {"schema": BINARY_SCHEMA}},
        "headers": {HEADER_LENGTH: LENGTH, **headers},
    }
