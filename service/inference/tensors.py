"""The input of a request, from JSON or from the binary data after it, as an encoded picture."""

from __future__ import annotations

import binascii
import io
from typing import Any

from jobs.errors import InvalidRequest
from scheduling.request import shown
from service.inference.pieces import Pieces
from service.inference.pixels import pixels_head
from service.inference.protocol import (
    BINARY_SIZE,
    BYTES,
    HEADER_LENGTH,
    IMAGE,
    LENGTH_BYTES,
    PIXELS,
    UINT8,
    InferenceRequest,
    InputTensor,
)
from service.picture_buffer import PictureBuffer

DATATYPES = {IMAGE: BYTES, PIXELS: UINT8}
SLICE_CHARACTERS = 1 << 20
"""Of base64 that are decoded at once: between slices other threads may run. A multiple of 4."""


def only_input(asked: InferenceRequest) -> InputTensor:
    """Return the input of a request. Raises InvalidRequest for none, several, or one that no model
    takes."""
    if len(asked.inputs) != 1:
        raise InvalidRequest(
            f"Send exactly one input, '{IMAGE}' or '{PIXELS}'; this request has "
            f"{len(asked.inputs)}. Each request makes one picture."
        )
    tensor = asked.inputs[0]
    if tensor.name not in DATATYPES:
        raise InvalidRequest(
            f"There is no input {shown(tensor.name)}; send '{IMAGE}' (an encoded picture) or "
            f"'{PIXELS}' (its samples)."
        )
    if tensor.datatype != DATATYPES[tensor.name]:
        raise InvalidRequest(
            f"'{tensor.name}' has the datatype {DATATYPES[tensor.name]}, not "
            f"{shown(tensor.datatype)}."
        )
    if tensor.name == IMAGE and tensor.shape != [1]:
        raise InvalidRequest(f"'{IMAGE}' must have the shape [1]: one encoded picture.")
    return tensor


def picture_within(tensor: InputTensor) -> bytes:
    """Return the picture in the JSON. Raises InvalidRequest."""
    if tensor.data is None:
        raise InvalidRequest(
            f"'{tensor.name}' has no data: give 'data', or '{BINARY_SIZE}' and the header "
            f"{HEADER_LENGTH}."
        )
    if tensor.name == PIXELS:
        raise InvalidRequest(
            f"'{PIXELS}' is taken as binary data alone, because numbers in JSON take many times "
            f"its memory; give '{BINARY_SIZE}' and the header {HEADER_LENGTH}."
        )
    if len(tensor.data) != 1 or not isinstance(tensor.data[0], str):
        raise InvalidRequest(f"The data of '{IMAGE}' must be one text: the picture in base64.")
    return from_base64(tensor.data[0])


async def picture_behind(tensor: InputTensor, pieces: Pieces) -> bytes:
    """Return the picture in the binary data of the only input, which is all that is left of a body.

    Raises InvalidRequest, and the errors of the body and of `PictureBuffer.write`.
    """
    size = binary_size(tensor)
    head = b"" if tensor.name == IMAGE else pixels_head(tensor.shape, size)
    if tensor.name == IMAGE:
        await _check_element(pieces, size)
        size -= LENGTH_BYTES
    buffer, count = PictureBuffer(size), 0
    buffer.write(head)
    async for piece in pieces.rest():
        count += len(piece)
        if count > size:
            break
        buffer.write(piece)
    if count != size:
        less_or_more = "less" if count < size else "more"
        raise InvalidRequest(
            f"The body has {less_or_more} binary data than the '{BINARY_SIZE}' of '{tensor.name}'."
        )
    return buffer.picture()


async def nothing_behind(pieces: Pieces) -> None:
    """Raise InvalidRequest unless a body ends here."""
    async for _ in pieces.rest():
        raise InvalidRequest(f"The body goes on after its JSON, but no input has '{BINARY_SIZE}'.")


def binary_size(tensor: InputTensor) -> int:
    """Return the bytes of a tensor's binary data. Raises InvalidRequest."""
    size: Any = tensor.parameters[BINARY_SIZE]
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise InvalidRequest(
            f"'{BINARY_SIZE}' must be a whole number from 1, got {shown(str(size))}."
        )
    if tensor.data is not None:
        raise InvalidRequest(f"'{tensor.name}' has both 'data' and '{BINARY_SIZE}'; give one.")
    return size


async def _check_element(pieces: Pieces, size: int) -> None:
    """Read the length of the only element of BYTES. Raises InvalidRequest for another one."""
    prefix = await pieces.take(LENGTH_BYTES, f"the length of '{IMAGE}'")
    length = int.from_bytes(prefix, "little")
    if length + LENGTH_BYTES != size:
        raise InvalidRequest(
            f"The binary data of '{IMAGE}' must be one element: {LENGTH_BYTES} bytes with its "
            f"length, lowest first, and the picture. They say {length}, and '{BINARY_SIZE}' is "
            f"{size}."
        )


def from_base64(text: str) -> bytes:
    """Return the bytes of a text in base64 (RFC 4648, section 4). Raises InvalidRequest."""
    decoded = io.BytesIO()  # hands out its bytes without a copy
    try:
        if text.find("=", 0, len(text) - 2) >= 0:  # the end of one slice, and not of all
            raise ValueError
        for start in range(0, len(text), SLICE_CHARACTERS):
            part = text[start : start + SLICE_CHARACTERS]
            decoded.write(binascii.a2b_base64(part, strict_mode=True))
    except ValueError:  # binascii.Error is one, and so is a character beyond ASCII
        raise InvalidRequest(f"The data of '{IMAGE}' is not base64.") from None
    return decoded.getvalue()
