"""The answer to a request: the picture, and how it was made."""

from __future__ import annotations

import binascii
import io
import json
from collections.abc import Callable, Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool

from jobs.job import JobView
from service.inference.protocol import (
    BINARY,
    BINARY_SIZE,
    BYTES,
    HEADER_LENGTH,
    IMAGE,
    JSON,
    LENGTH_BYTES,
    VERSION,
    Parameter,
)
from service.inference.upload import AnswerForm
from service.inference.wishes import CONTENT_TYPE
from service.picture_response import deadline_text
from service.sliced_response import SlicedResponse

SLICE_BYTES = 3 << 18
"""That are encoded in base64 at once: between slices other threads may run. A multiple of 3."""
ENCODED_AT_ONCE_BYTES = 1 << 16
"""Largest picture that is encoded in base64 on the event loop's thread."""


def parameters_of(view: JobView, elapsed_ms: float) -> dict[str, Parameter]:
    """Return how a picture was made, under the names of the headers of `POST /upscale`."""
    job, facts = view.job, view.facts
    members: dict[str, Parameter] = {
        "request_id": job.id,
        "format": job.output_format.value,
        "output_width": job.output_width,
        "output_height": job.output_height,
        "scale_w": round(job.scale_w, 4),
        "scale_h": round(job.scale_h, 4),
        "budget_ms": round(job.budget_ms, 1),
        "elapsed_ms": round(elapsed_ms, 1),
        "deadline": deadline_text(job, elapsed_ms),
    }
    if facts is not None:
        members |= {
            "model": facts.model,
            "width": facts.width,
            "reason": facts.reason.value,
            "predicted_ms": round(facts.predicted_ms, 1),
            "strength": facts.strength,
        }
        if facts.expected_db is not None:
            members["expected_db"] = round(facts.expected_db, 2)
    return members


def answer_bytes(count: int, form: AnswerForm) -> int:
    """Return the bytes of an answer's body with a picture of `count` bytes, without its JSON."""
    return count if form.binary else (count + 2) // 3 * 4


async def answer_body(
    picture: bytes, model: str, form: AnswerForm, parameters: dict[str, Parameter]
) -> tuple[bytes, int | None]:
    """Return the body of an answer, and the bytes of its JSON if the picture follows it."""
    output: dict[str, Any] = {"name": IMAGE, "datatype": BYTES, "shape": [1]}
    members: dict[str, Any] = {"model_name": model, "model_version": VERSION}
    if form.id is not None:
        members["id"] = form.id
    members["parameters"] = parameters
    members["outputs"] = [output]
    if form.binary:
        output["parameters"] = {BINARY_SIZE: LENGTH_BYTES + len(picture)}
        head = json.dumps(members).encode()
        length = len(picture).to_bytes(LENGTH_BYTES, "little")
        return b"".join((head, length, picture)), len(head)
    output["parameters"] = {CONTENT_TYPE: "base64"}
    if len(picture) <= ENCODED_AT_ONCE_BYTES:
        return _with_base64(members, picture), None
    return await run_in_threadpool(_with_base64, members, picture), None


def _with_base64(members: dict[str, Any], picture: bytes) -> bytes:
    """Return the JSON with the picture as the last thing in it: no text of it is made, and copied,
    on the way."""
    members["outputs"][0]["data"] = [""]
    head, tail = json.dumps(members).encode().rsplit(b'""', 1)
    body = io.BytesIO()  # hands out its bytes without a copy
    body.write(head + b'"')
    for at in range(0, len(picture), SLICE_BYTES):
        body.write(binascii.b2a_base64(picture[at : at + SLICE_BYTES], newline=False))
    body.write(b'"' + tail)
    return body.getvalue()


def inference_response(
    body: bytes,
    json_bytes: int | None,
    headers: Mapping[str, str],
    on_sent: Callable[[], None],
    on_end: Callable[[], None],
) -> SlicedResponse:
    """Return the response with a body of `answer_body` and further headers."""
    if json_bytes is None:
        return SlicedResponse(body, headers, JSON, on_sent, on_end)
    with_length = {**headers, HEADER_LENGTH: str(json_bytes)}
    return SlicedResponse(body, with_length, BINARY, on_sent, on_end)
