"""OpenAPI descriptions of bodies, parameters, headers and errors that FastAPI cannot derive."""

from __future__ import annotations

from typing import Any

from jobs.errors import ERRORS, AnysrError
from jobs.formats import ImageFormat
from scheduling.request import EstimateRequest, UpscaleRequest
from service.picture_response import PICTURE_HEADERS
from service.problems import MEDIA_TYPE, RETRY_STATUSES, STATUS, problem

Json = dict[str, Any]

BINARY: Json = {"type": "string", "format": "binary"}
EXAMPLE_ID = "0f8fad5bd9cb469fa16570867728950e"
BUSY_HEADERS: Json = {
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}
}

UPLOAD_CODES = (
    *("empty_body", "corrupt_image", "body_too_large", "image_too_large", "output_too_large"),
    *("unsupported_image", "invalid_request", "animated_image", "unknown_model"),
    *("model_not_trained", "unknown_width", "budget_infeasible", "overloaded", "not_ready"),
    "internal_error",
)
ESTIMATE_CODES = (
    *("image_too_large", "output_too_large", "invalid_request", "unknown_model"),
    *("model_not_trained", "unknown_width", "not_ready", "internal_error"),
)
RUN_CODES = (
    *("corrupt_image", "decoding_too_long", "image_too_large", "unknown_model"),
    *("unknown_width", "job_cancelled", "worker_lost"),
    *("quality_infeasible", "internal_error", "deadline_exceeded"),
)

_EXAMPLE_DETAILS: dict[str, Json] = {
    "budget_infeasible": {"smallest_feasible_ms": 180},
    "quality_infeasible": {"largest_feasible_db": 31.4},
    "overloaded": {"retry_after_s": 4},
    "not_ready": {"retry_after_s": 2},
}


def upscale_request() -> Json:
    """Return the `openapi_extra` of a route that accepts a picture, with both kinds of body."""
    properties = _properties(UpscaleRequest.model_json_schema())
    form = {"image": BINARY | {"description": "The picture."}, **properties}
    return {
        "parameters": [
            _query_parameter(name, value, " With a raw body only.")
            for name, value in properties.items()
        ],
        "requestBody": {
            "required": True,
            "description": "A form with the picture and the parameters, or the picture alone with "
            "the parameters in the query.",
            "content": {
                "multipart/form-data": {
                    "schema": {"type": "object", "required": ["image"], "properties": form}
                },
                **{kind: {"schema": BINARY} for kind in (*_media_types(), "image/*")},
                "application/octet-stream": {"schema": BINARY},
            },
        },
    }


def estimate_request() -> Json:
    """Return the `openapi_extra` of a route whose query describes a picture."""
    schema = EstimateRequest.model_json_schema()
    return {
        "parameters": [
            _query_parameter(name, value) | {"required": name in schema["required"]}
            for name, value in _properties(schema).items()
        ]
    }


def picture_answer() -> Json:
    """Return the OpenAPI response of a picture, with its headers."""
    return {
        "description": "The picture.",
        "content": {kind: {"schema": BINARY} for kind in _media_types()},
        "headers": {
            name: {"description": text, "schema": {"type": "string"}}
            for name, text in PICTURE_HEADERS.items()
        },
    }


def problem_answers(*codes: str) -> dict[int | str, Json]:
    """Return the OpenAPI responses of these error codes by status, with one example per code."""
    by_status: dict[int, list[type[AnysrError]]] = {}
    for error in ERRORS:
        if error.code in codes:
            by_status.setdefault(STATUS[error.code], []).append(error)
    return {status: _problems(status, by_status[status]) for status in sorted(by_status)}


def _problems(status: int, errors: list[type[AnysrError]]) -> Json:
    examples = {
        error.code: {
            "summary": error.message,
            "value": problem(error(**_EXAMPLE_DETAILS.get(error.code, {})), EXAMPLE_ID),
        }
        for error in errors
    }
    described: Json = {
        "description": ", ".join(f"`{code}`" for code in examples),
        "content": {MEDIA_TYPE: {"schema": _problem_schema(), "examples": examples}},
    }
    return described | ({"headers": BUSY_HEADERS} if status in RETRY_STATUSES else {})


def _problem_schema() -> Json:
    text: Json = {"type": "string"}
    members = dict.fromkeys(("type", "title", "detail", "code", "request_id"), text)
    return {
        "type": "object",
        "title": "Problem",
        "required": [*members, "status"],
        "properties": {**members, "status": {"type": "integer"}},
    }


def _query_parameter(name: str, value: Json, more: str = "") -> Json:
    return {
        "name": name,
        "in": "query",
        "required": False,
        "schema": value,
        "description": value.get("description", "") + more,
    }


def _properties(schema: Json) -> Json:
    return {name: _flat(value, schema) for name, value in schema["properties"].items()}


def _flat(value: Json, schema: Json) -> Json:
    """Return a property without null and references, which a query parameter cannot have."""
    choices = [choice for choice in value.get("anyOf", [value]) if choice.get("type") != "null"]
    chosen: Json = choices[0] if len(choices) == 1 else {"anyOf": choices}
    if "$ref" in chosen:
        chosen = schema["$defs"][chosen["$ref"].rpartition("/")[2]]
    kept: Json = {key: value[key] for key in ("description", "examples") if key in value}
    if value.get("default") is not None:
        kept["default"] = value["default"]
    return {k: v for k, v in chosen.items() if k not in ("title", "description")} | kept


def _media_types() -> list[str]:
    return [image_format.media_type for image_format in ImageFormat]
