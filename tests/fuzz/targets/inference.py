"""A request of the Open Inference Protocol (`service.inference.upload`): its query, the header that
says how long its JSON is, and its body of JSON and binary tensor data."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Iterator
from typing import Any

from starlette.requests import Request
from starlette.types import Message

from benchmarks.specimens import specimens
from jobs.errors import AnysrError, BodyTooLarge, EmptyBody, InvalidRequest
from service.inference.protocol import BINARY_SIZE, HEADER_LENGTH
from service.inference.upload import Inference, read_inference
from service.main import build_outbound, build_sources
from service.metrics import GatewayMetrics
from service.settings import GatewaySettings
from service.sources.stores import store_client
from service.stored_uploads import StoredUploads
from service.uploads import UploadReader
from tests.fuzz.target import Target

LIMIT = 3000
"""Bytes of a body; inputs may be longer."""
LONGEST_HEAD = 1000
"""Bytes that a picture may have beyond those of the body: the head of a TIFF before samples."""
LONGEST_SENTENCE = 2000
REFUSALS = (BodyTooLarge, EmptyBody, InvalidRequest)
SETTINGS = GatewaySettings(max_body_bytes=LIMIT, max_uploads=1)
SOURCES = build_sources(SETTINGS, build_outbound(SETTINGS), {}, store_client({}), GatewayMetrics())
READER = UploadReader(SETTINGS, SOURCES, StoredUploads(None, SETTINGS))
"""One for all inputs, with one slot: a refusal that kept it would refuse the next input."""
SIZE = re.compile(rb'("%s": ?)\d+' % BINARY_SIZE.encode())

Outcome = tuple[object, ...]
"""What became of a request: what was read of it, or the refusal and its sentence."""


def run(data: bytes) -> None:
    """Read a request: lines with query and length of the JSON, then the body. It is the same
    however the body is cut into pieces; a too large one is refused at its first fault."""
    query, length, body = [*data.split(b"\n", 2), b"", b""][:3]
    whole = asyncio.run(_outcome(query, length, body, max(1, len(body))))
    cut = asyncio.run(_outcome(query, length, body, 7))
    assert cut == whole or (len(body) > LIMIT and cut[0] in REFUSALS and whole[0] in REFUSALS)


async def _outcome(query: bytes, length: bytes, body: bytes, piece_bytes: int) -> Outcome:
    try:
        read = await _read(query, length, body, piece_bytes)
    except REFUSALS as error:
        return _refused(error)
    picture = bytes(read.upload.picture)
    assert 0 < len(picture) <= min(LIMIT, len(body)) + LONGEST_HEAD
    return picture, read.upload.wanted, read.form


def _refused(error: AnysrError) -> Outcome:
    assert type(error) in REFUSALS
    assert len(error.detail) < LONGEST_SENTENCE
    return type(error), error.detail


async def _read(query: bytes, length: bytes, body: bytes, piece_bytes: int) -> Inference:
    pieces = _pieces(body, piece_bytes)

    async def receive() -> Message:
        return next(pieces)

    headers = [(HEADER_LENGTH.lower().encode(), length)] if length else []
    scope = {"type": "http", "query_string": query, "headers": headers, "client": ("::1", 1)}
    request = Request(scope, receive)
    async with READER.held(request) as reader:
        return await read_inference(request, reader, None)


def _pieces(body: bytes, size: int) -> Iterator[Message]:
    for at in range(0, len(body), size):
        yield {"type": "http.request", "body": body[at : at + size], "more_body": True}
    yield {"type": "http.request", "body": b"", "more_body": False}


def repaired(data: bytes) -> bytes:
    """Return an input whose JSON, where it is one, has the length and the size that it states."""
    query, length, body = [*data.split(b"\n", 2), b"", b""][:3]
    if not length:
        return data
    text = body.decode("latin-1")
    try:
        _, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return data
    tail = body[end:]
    head = SIZE.sub(rb"\g<1>%d" % len(tail), body[:end])
    return b"\n".join((query, b"%d" % len(head), head + tail))


def _binary(tensor: dict[str, Any], tail: bytes, query: bytes = b"", **members: Any) -> bytes:
    asked = {"inputs": [tensor | {"parameters": {BINARY_SIZE: len(tail)}}], **members}
    head = json.dumps(asked).encode()
    return b"\n".join((query, b"%d" % len(head), head + tail))


def seeds() -> list[bytes]:
    """Return requests with the picture in the JSON, behind it, alone, and as samples; and wrong
    ones."""
    picture = specimens()["jpeg RGB"]
    image: dict[str, Any] = {"name": "image", "datatype": "BYTES", "shape": [1]}
    pixels: dict[str, Any] = {"name": "pixels", "datatype": "UINT8", "shape": [2, 3, 3]}
    element = len(picture).to_bytes(4, "little") + picture
    written = image | {"data": [base64.b64encode(picture).decode()]}
    asked = {"id": "a", "inputs": [written], "parameters": {"scale": 2, "budget_ms": 100}}
    outputs = [{"name": "image", "parameters": {"binary_data": True}}]
    return [
        b"\n\n" + json.dumps(asked).encode(),
        b"scale=2\n0\n" + picture,
        _binary(image, element, parameters={"scale": 2.5, "format": "webp"}, outputs=outputs),
        _binary(image, element[:-1], parameters={"scale": 2}),
        _binary(image, element, b"scale=2&model=anysr-s"),
        _binary(pixels, bytes(range(18)), parameters={"width": 30, "binary_data_output": True}),
        _binary(pixels | {"shape": [1, 2, 3, 1]}, bytes(6), parameters={"scale": 2}),
        _binary(pixels | {"shape": [2**40, 2**40, 3]}, b"", parameters={"scale": 2}),
        b"\n99999\n{}",
        b"\n-1\n{}",
        b"\n\n" + b"[" * 200,
        b'\n\n{"inputs": [NaN]}',
    ]


TARGET = Target(run, seeds, longest=4096, repaired=repaired)
