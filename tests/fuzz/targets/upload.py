"""An upload (`service.uploads`, `service.body_bounds`): query, headers and body of a request, read
within their bounds or refused."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from starlette.requests import Request
from starlette.types import Message

from benchmarks.specimens import specimens
from jobs.errors import (
    AddressRefused,
    BodyTooLarge,
    BucketNotAllowed,
    EmptyBody,
    InvalidRequest,
    SourceNotAllowed,
    UnsupportedImage,
    UploadsDisabled,
)
from service.main import build_outbound, build_sources
from service.metrics import GatewayMetrics
from service.settings import GatewaySettings
from service.sources.stores import store_client
from service.stored_uploads import StoredUploads
from service.uploads import Upload, UploadReader
from tests.fuzz.target import Target, read_or_refused
from tests.fuzz.targets.form import part

LIMIT = 3000
"""Bytes of a body; inputs may be longer."""
REFUSALS = (
    *(BodyTooLarge, EmptyBody, InvalidRequest, UnsupportedImage),
    *(AddressRefused, BucketNotAllowed, SourceNotAllowed, UploadsDisabled),
)
SETTINGS = GatewaySettings(max_body_bytes=LIMIT, max_uploads=1)
SOURCES = build_sources(SETTINGS, build_outbound(SETTINGS), {}, store_client({}), GatewayMetrics())
READER = UploadReader(SETTINGS, SOURCES, StoredUploads(None, SETTINGS))
"""One for all inputs, with one slot: a refusal that kept it would refuse the next input."""


def run(data: bytes) -> None:
    """Receive an upload: lines with query, content type and declared length, then the body."""
    lines = data.split(b"\n", 3)
    query, kind, length, body = [*lines, b"", b"", b""][:4]
    upload = read_or_refused(lambda: asyncio.run(_received(query, kind, length, body)), REFUSALS)
    if upload is not None:
        assert 0 < len(upload.picture) <= min(LIMIT, len(body))


async def _received(query: bytes, kind: bytes, length: bytes, body: bytes) -> Upload:
    pieces = _pieces(body)

    async def receive() -> Message:
        return next(pieces)

    headers = [(b"content-type", kind), (b"content-length", length)]
    scope = {"type": "http", "query_string": query, "headers": headers, "client": ("::1", 1)}
    async with READER.received(Request(scope, receive)) as upload:
        return upload


def _pieces(body: bytes, size: int = 1000) -> Iterator[Message]:
    for at in range(0, len(body), size):
        yield {"type": "http.request", "body": body[at : at + size], "more_body": True}
    yield {"type": "http.request", "body": b"", "more_body": False}


def seeds() -> list[bytes]:
    """Return uploads as form and as body, right ones and wrong ones."""
    picture = specimens()["jpeg RGB"]
    form = part("image", picture, '; filename="a"') + part("scale", b"2") + b"--x--\r\n"
    multipart = b"multipart/form-data; boundary=x"
    parts = [
        (b"scale=2", b"image/jpeg", b"%d" % len(picture), picture),
        (b"scale_h=1.5&scale_w=2&format=png", b"", b"", picture),
        (b"width=%38%30&on_miss=reject", b"application/octet-stream", b"", picture),
        (b"", multipart, b"%d" % len(form), form),
        (b"scale=2&upload=" + 32 * b"0", b"image/png", b"0", b""),
        (b"scale=2", multipart, b"", form),
        (b"scale=2", b"text/plain", b"5", b"hello"),
        (b"scale=2", b"image/png", b"99999999999999999999999", b""),
        (b"scale=2", b"image/png", b"", bytes(LIMIT + 1)),
    ]
    return [b"\n".join(lines) for lines in parts]


TARGET = Target(run, seeds, longest=4096)
