"""A request for an inference, read within the bounds of other uploads, as the same upload."""

from __future__ import annotations

import time
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import Request

from jobs.errors import BodyTooLarge, EmptyBody, InvalidRequest
from scheduling.request import UpscaleRequest, shown
from service.body_bounds import BodyReader, declared_length
from service.inference.document import LONGEST_JSON, read_document
from service.inference.pieces import Pieces
from service.inference.protocol import BINARY_SIZE, HEADER_LENGTH, InferenceRequest
from service.inference.tensors import nothing_behind, only_input, picture_behind, picture_within
from service.inference.wishes import wants_binary, wishes
from service.picture_buffer import PictureBuffer
from service.uploads import Upload

READ_AT_ONCE_BYTES = 1 << 16
"""Longest JSON that is read on the event loop's thread."""


@dataclass(frozen=True)
class AnswerForm:
    """What a request says of its answer."""

    binary: bool
    """Whether the picture shall follow the JSON."""
    id: str | None = None
    """The client's own name of the request."""


@dataclass(frozen=True)
class Inference:
    """A request that was read."""

    upload: Upload
    form: AnswerForm


async def read_inference(request: Request, body: BodyReader, model: str | None) -> Inference:
    """Read a request for the model that its path names; None where the service chooses it.

    Raises the errors of `BodyReader.chunks` and `PictureBuffer.write`, InvalidRequest, EmptyBody,
    and BodyTooLarge for too long a JSON.
    """
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise InvalidRequest(f"A body with Content-Encoding {shown(encoding)} is not read.")
    pieces = Pieces(body.chunks(request))
    length = json_length(request.headers)
    if length == 0:
        return await _raw(request, pieces, model)
    text = await _text(pieces, length)
    asked = await _document(text)
    del text
    tensor = only_input(asked)
    wanted, binary = wishes(request.query_params.multi_items(), asked, model), wants_binary(asked)
    if BINARY_SIZE in tensor.parameters:
        picture = await picture_behind(tensor, pieces)
        received = time.monotonic()
    else:
        await nothing_behind(pieces)
        received = time.monotonic()
        picture = await run_in_threadpool(picture_within, tensor)
    return Inference(_upload(picture, wanted, received), AnswerForm(binary, asked.id))


def json_length(headers: Headers) -> int | None:
    """Return the bytes of the JSON by the protocol's header, 0 for a raw picture alone; None where
    the whole body is JSON. Raises InvalidRequest."""
    text = headers.get(HEADER_LENGTH)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 10):
        raise InvalidRequest(f"{HEADER_LENGTH} must be a number of bytes, got {shown(text)}.")
    return int(text)


async def _raw(request: Request, pieces: Pieces, model: str | None) -> Inference:
    """Read a body that is the picture; its parameters are in the query."""
    wanted = wishes(request.query_params.multi_items(), None, model)
    buffer = PictureBuffer(declared_length(request.headers))
    async for piece in pieces.rest():
        buffer.write(piece)
    upload = _upload(buffer.picture(), wanted, time.monotonic())
    return Inference(upload, AnswerForm(binary=True))


async def _text(pieces: Pieces, length: int | None) -> str:
    """Return the JSON: `length` bytes, or all there are. Raises BodyTooLarge and InvalidRequest."""
    try:
        return (await _bytes(pieces, length)).decode()
    except UnicodeDecodeError:
        raise InvalidRequest("The body is not JSON: it is not in UTF-8.") from None


async def _bytes(pieces: Pieces, length: int | None) -> bytes | bytearray:
    if length is not None:
        if length > LONGEST_JSON:
            raise _too_long()
        return await pieces.take(length, "its JSON")
    text = bytearray()
    async for piece in pieces.rest():
        text += piece
        if len(text) > LONGEST_JSON:
            raise _too_long()
    return text


async def _document(text: str) -> InferenceRequest:
    if len(text) <= READ_AT_ONCE_BYTES:
        return read_document(text)
    return await run_in_threadpool(read_document, text)


def _upload(picture: bytes, wanted: UpscaleRequest, received: float) -> Upload:
    if not picture:
        raise EmptyBody("The request has no image.")
    return Upload(picture, wanted, received)


def _too_long() -> BodyTooLarge:
    return BodyTooLarge(
        f"The JSON is longer than {LONGEST_JSON} bytes ({LONGEST_JSON >> 20} MiB); send the "
        f"picture as binary data after it, with '{BINARY_SIZE}' and the header {HEADER_LENGTH}.",
        max_body_bytes=LONGEST_JSON,
    )
