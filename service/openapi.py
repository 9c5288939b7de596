"""OpenAPI descriptions of bodies, parameters, headers and errors that FastAPI cannot derive."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from jobs.errors import ERRORS, AnysrError, InternalError
from jobs.formats import WRITTEN
from scheduling.request import EstimateRequest, UpscaleRequest
from service.access.rate_headers import POLICY, STATE
from service.batches.order import BatchRequest
from service.connection_bounds import ConnectionBounds
from service.events import MEDIA_TYPE as EVENTS
from service.outbound.urls import LONGEST_URL
from service.picture_response import PICTURE_HEADERS
from service.problems import MEDIA_TYPE, STATUS, problem
from service.sources.parameter import DESCRIPTION, SOURCE, UPLOAD, UPLOAD_DESCRIPTION
from service.upload_order import UploadOrder

Json = dict[str, Any]

SCHEMAS = "#/components/schemas/"
PROBLEM: Json = {"$ref": f"{SCHEMAS}Problem"}
FORM: Json = {"$ref": f"{SCHEMAS}PictureForm"}
PLAIN_FORM: Json = {"type": "object", "additionalProperties": {"type": "string"}}
FRAMEWORKS_OWN = ("HTTPValidationError", "ValidationError")
"""Schemas of an error body that FastAPI assumes and this service never sends."""
BINARY: Json = {"type": "string", "format": "binary"}
EXAMPLE_ID = "0f8fad5bd9cb469fa16570867728950e"
BUSY_HEADERS: Json = {
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}
}
PROBLEM_HEADERS: dict[int, Json] = {
    HTTPStatus.UNAUTHORIZED: {
        "WWW-Authenticate": {"description": "As in RFC 6750.", "schema": {"type": "string"}}
    },
    HTTPStatus.TOO_MANY_REQUESTS: {
        **BUSY_HEADERS,
        POLICY: {"description": "What the client may use.", "schema": {"type": "string"}},
        STATE: {"description": "What it has left.", "schema": {"type": "string"}},
    },
    HTTPStatus.SERVICE_UNAVAILABLE: BUSY_HEADERS,
}

IDEMPOTENCY_KEY: Json = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": 257},
    "description": "A string of up to 255 printable characters that no other request has, for "
    "example a UUID. The same request with the same key gets the same job.",
}

ACCESS_CODES = ("unauthorized", "rate_limited")
"""Of every route that needs a key, where the gateway has any."""
JOB_CODES = ("job_not_found", "not_ready", "data_loss", *ACCESS_CODES)
SOURCE_SCHEMA: Json = {
    "type": "string",
    "minLength": 1,
    "maxLength": LONGEST_URL,
    "description": DESCRIPTION,
}
STORED_SCHEMA: Json = {
    "type": "string",
    "pattern": "^[0-9a-f]{32}$",
    "description": UPLOAD_DESCRIPTION,
}

SOURCE_CODES = (
    *("address_refused", "source_not_allowed", "bucket_not_allowed", "remote_unreachable"),
    *("remote_too_slow", "too_many_redirects", "remote_refused", "source_changed"),
    *("bucket_denied", "object_not_found", "uploads_disabled", "upload_not_found"),
    *("upload_unfilled", "upload_used"),
)
UPLOAD_CODES = (
    *(*ACCESS_CODES, "model_not_allowed", "quota_exceeded", "too_many_jobs", "share_exceeded"),
    *SOURCE_CODES,
    *("empty_body", "corrupt_image", "body_too_large", "image_too_large", "output_too_large"),
    *("unsupported_image", "invalid_request", "animated_image", "unknown_model"),
    *("model_not_trained", "unknown_width", "budget_infeasible", "overloaded", "not_ready"),
    *("idempotency_key_reused", "internal_error"),
)
DURABLE_CODES = ("not_durable", "not_durable_yet")
ESTIMATE_CODES = (
    *(*ACCESS_CODES, "model_not_allowed"),
    *("image_too_large", "output_too_large", "invalid_request", "unknown_model"),
    *("model_not_trained", "unknown_width", "not_ready", "internal_error"),
)
RUN_CODES = (
    *("corrupt_image", "decoding_too_long", "image_too_large", "unknown_model"),
    *("unknown_width", "job_cancelled", "worker_lost", "data_loss"),
    *("quality_infeasible", "internal_error", "deadline_exceeded"),
)

LINK: dict[str, Json] = {
    "src": SOURCE_SCHEMA,
    "exp": {"type": "integer", "description": "Unix time from which the link is refused."},
    "key": {"type": "string", "description": "Id of the key that signed it."},
    "sig": {"type": "string", "description": "The signature (docs/links.md)."},
}
"""Parameters of a signed link."""

UPLOAD_REFUSALS: tuple[tuple[int, str], ...] = (
    (HTTPStatus.REQUEST_TIMEOUT, "`request_timeout`: the body arrives too slowly."),
)
NOT_ACCEPTABLE = (
    HTTPStatus.NOT_ACCEPTABLE.value,
    "`not_acceptable`: with `format=auto`, the Accept header allows no format of this service.",
)
_ANYWHERE: tuple[tuple[int, str], ...] = (
    (
        HTTPStatus.MISDIRECTED_REQUEST,
        "`misdirected_request`: the Host header names a host that is not served here.",
    ),
    (
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
        "`request_header_fields_too_large`: URL and headers have more than "
        f"{ConnectionBounds.head_bytes >> 10} KiB.",
    ),
)
"""Refusals that any request may get, by HTTP's own rules."""

_DETAILS: dict[str, Json] = {
    "smallest_feasible_ms": {"type": "integer", "description": "Of `budget_infeasible`."},
    "largest_feasible_db": {"type": "number", "description": "Of `quality_infeasible`."},
    "retry_after_s": {"type": "number", "description": "Seconds to wait, as in Retry-After."},
    "max_body_bytes": {"type": "integer", "description": "Of `body_too_large`."},
    "frames": {
        "type": "integer",
        "description": "Of `invalid_request`, for a `frame` that is not there: how many there are.",
    },
    "max_pixels": {"type": "integer", "description": "Of `image_too_large`, `output_too_large`."},
    "remote_status": {"type": "integer", "description": "Of `remote_refused`."},
    "max_side": {"type": "integer", "description": "Of `output_too_large`, in pixels."},
    "max_job_bytes": {
        "type": "integer",
        "description": "Of `image_too_large`, `output_too_large`.",
    },
}
"""Members that a problem may have beside the standard ones."""

_EXAMPLE_DETAILS: dict[str, Json] = {
    "budget_infeasible": {"smallest_feasible_ms": 180},
    "quality_infeasible": {"largest_feasible_db": 31.4},
    "overloaded": {"retry_after_s": 4},
    "rate_limited": {"retry_after_s": 0.2},
    "quota_exceeded": {"retry_after_s": 30_600},
    "too_many_jobs": {"retry_after_s": 1},
    "share_exceeded": {"retry_after_s": 1},
    "not_ready": {"retry_after_s": 2},
    "not_durable_yet": {"retry_after_s": 2},
}


def describe(app: FastAPI) -> None:
    """Have an application describe its routes with one schema for all errors."""

    frameworks = app.openapi

    def openapi() -> Json:
        if app.openapi_schema is None:
            app.openapi_schema = _with_problems(frameworks())
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def upscale_request(kind: type[UpscaleRequest] = UpscaleRequest) -> Json:
    """Return the `openapi_extra` of a route that accepts a picture, in a form or alone, with the
    parameters of this kind.

    Parameters are declared once, in the query, which every kind of body has: generated clients and
    "Try it out" then send each of them once.
    """
    properties = properties_of(kind.model_json_schema())
    return {
        "parameters": [
            *(_query_parameter(name, value) for name, value in properties.items()),
            IDEMPOTENCY_KEY,
            _query_parameter(SOURCE, SOURCE_SCHEMA),
            _query_parameter(UPLOAD, STORED_SCHEMA),
        ],
        "requestBody": {
            "required": False,
            "description": "A form with the picture, or the picture alone; none with "
            f"`{SOURCE}` or `{UPLOAD}`.",
            "content": {
                "multipart/form-data": {"schema": FORM},
                "application/x-www-form-urlencoded": {"schema": PLAIN_FORM},
                "application/octet-stream": {"schema": BINARY},
                "image/*": {"schema": BINARY},
            },
        },
    }


def image_request() -> Json:
    """Return the `openapi_extra` of a route whose query is a signed link."""
    properties = properties_of(UpscaleRequest.model_json_schema())
    return {
        "parameters": [
            *(_query_parameter(name, value) for name, value in properties.items()),
            *(_query_parameter(name, text) | {"required": True} for name, text in LINK.items()),
        ]
    }


def batch_request() -> Json:
    """Return the `openapi_extra` of the route that accepts a batch."""
    return {
        "parameters": [IDEMPOTENCY_KEY],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": f"{SCHEMAS}BatchRequest"}}},
        },
    }


def upload_request() -> Json:
    """Return the `openapi_extra` of the route that gives a URL to upload to."""
    return {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": f"{SCHEMAS}UploadOrder"}}},
        },
    }


def estimate_request() -> Json:
    """Return the `openapi_extra` of a route whose query describes a picture."""
    schema = EstimateRequest.model_json_schema()
    return {
        "parameters": [
            _query_parameter(name, value) | {"required": name in schema["required"]}
            for name, value in properties_of(schema).items()
        ]
    }


def redirect_answer() -> Json:
    """Return the OpenAPI response that leads to a picture in the bucket."""
    location: Json = {"description": "Its URL, for some minutes.", "schema": {"type": "string"}}
    described = picture_answer()["headers"]
    return {
        "description": "The picture is in the bucket; fetch it there, without `Authorization`.",
        "headers": {"Location": location, **described},
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


def event_stream_answer(event: str, answer: type[BaseModel]) -> Json:
    """Return the OpenAPI response of a stream whose events have this name, and an answer as data.

    `itemSchema` describes one event of it. It is OpenAPI 3.2's; FastAPI describes streams by it in
    3.1 as well, where readers that do not know it see a stream of text.
    """
    reference: Json = {"$ref": f"{SCHEMAS}{answer.__name__}"}
    data: Json = {
        "type": "string",
        "contentMediaType": "application/json",
        "contentSchema": reference,
    }
    item: Json = {
        "type": "object",
        "required": ["event", "data"],
        "properties": {"event": {"type": "string", "const": event}, "data": data},
    }
    return {
        "description": f"`event: {event}` with the {event} as `data:`, at once and at each change.",
        "content": {EVENTS: {"itemSchema": item}},
    }


def problem_answers(*codes: str) -> dict[int | str, Json]:
    """Return the OpenAPI responses of these error codes by status, with one example per code."""
    by_status: dict[int, list[type[AnysrError]]] = {}
    for error in ERRORS:
        if error.code in codes:
            by_status.setdefault(STATUS[error.code], []).append(error)
    return {status: _problems(status, by_status[status]) for status in sorted(by_status)}


def refusals(*refused: tuple[int, str]) -> dict[int | str, Json]:
    """Return the OpenAPI responses of refusals by HTTP's own rules: (status, text)."""
    return {
        status: {"description": text, "content": {MEDIA_TYPE: {"schema": PROBLEM}}}
        for status, text in refused
    }


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
        "content": {MEDIA_TYPE: {"schema": PROBLEM, "examples": examples}},
    }
    headers = PROBLEM_HEADERS.get(status)
    return described | ({} if headers is None else {"headers": headers})


def _with_problems(made: Json) -> Json:
    """Add to FastAPI's description the schemas of problem and form, and the errors that any route
    may answer with; drop the error body that FastAPI assumes."""
    schemas: Json = made["components"]["schemas"]
    for name in FRAMEWORKS_OWN:
        schemas.pop(name, None)
    schemas |= {"Problem": _problem_schema(), "PictureForm": _form_schema()}
    schemas |= _batch_schemas()
    schemas["UploadOrder"] = UploadOrder.model_json_schema()
    everywhere = refusals(*_ANYWHERE) | problem_answers(InternalError.code)
    for operation in (found for path in made["paths"].values() for found in path.values()):
        answers: Json = operation["responses"]
        if f"{SCHEMAS}{FRAMEWORKS_OWN[0]}" in str(answers.get("422")):
            del answers["422"]
        all_of_them = {str(status): answer for status, answer in everywhere.items()} | answers
        operation["responses"] = dict(sorted(all_of_them.items()))
    return made


def _problem_schema() -> Json:
    text: Json = {"type": "string"}
    members = dict.fromkeys(("type", "title", "detail", "code", "request_id"), text)
    return {
        "type": "object",
        "title": "Problem",
        "description": "An error (RFC 9457). `code` is stable, `detail` tells what to do.",
        "required": [*members, "status"],
        "properties": {**members, "status": {"type": "integer"}, **_DETAILS},
    }


def _batch_schemas() -> Json:
    """Return the schemas of a batch's body, whose options are those of an upload."""
    body = BatchRequest.model_json_schema(ref_template=f"{SCHEMAS}{{model}}")
    schemas: Json = body.pop("$defs")
    options: Json = body["properties"]["options"]
    del options["additionalProperties"]
    options["properties"] = properties_of(UpscaleRequest.model_json_schema())
    return {**schemas, "BatchRequest": body}


def _form_schema() -> Json:
    return {
        "type": "object",
        "title": "PictureForm",
        "required": ["image"],
        "properties": {
            "image": BINARY | {"description": "The picture, as a file with a file name."}
        },
        "additionalProperties": {
            "type": "string",
            "description": "Any parameter of the query, as a field instead of there.",
        },
    }


def _query_parameter(name: str, value: Json) -> Json:
    return {
        "name": name,
        "in": "query",
        "required": False,
        "schema": value,
        "description": value.get("description", ""),
    }


def properties_of(schema: Json) -> Json:
    """Return the properties of a request's schema, each in full."""
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
    return [image_format.media_type for image_format in WRITTEN]
