"""Uploads: reads a request's picture and parameters within bounds, into one buffer."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from starlette.requests import Request

from jobs.errors import EmptyBody, UnsupportedImage
from scheduling.request import UpscaleRequest, parse_request, shown
from service.body_bounds import BodyReader, declared_length
from service.form import PictureForm
from service.picture_buffer import PictureBuffer
from service.settings import GatewaySettings
from service.upload_slots import UploadSlots, client_of

MULTIPART = "multipart/form-data"


@dataclass(frozen=True)
class Upload:
    """A complete upload: the encoded picture and the parameters of the request."""

    picture: bytes
    wanted: UpscaleRequest
    received: float
    """End of the upload by time.monotonic(), at which the latency budget starts."""


class UploadReader:
    """Reads request bodies, with a limit on size, time, rate and number at once."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._body = BodyReader(settings)
        self._slots = UploadSlots(settings.max_uploads, settings.uploads_per_client)

    @asynccontextmanager
    async def received(
        self, request: Request, kind: type[UpscaleRequest] = UpscaleRequest
    ) -> AsyncIterator[Upload]:
        """Receive the upload of a request, which may have the parameters of this kind, and hold its
        slot for as long as the block runs.

        Raises the errors of `BodyReader.chunks` and `PictureBuffer.write`, Overloaded (too many
        uploads at once), EmptyBody, UnsupportedImage (the content type) and InvalidRequest.
        """
        self._body.check_declared_length(request)
        with self._slots.taken(client_of(request)):
            yield await self._read(request, kind)

    async def _read(self, request: Request, wishes: type[UpscaleRequest]) -> Upload:
        kind = _content_type(request)
        in_query = request.query_params.multi_items()
        if kind == MULTIPART:
            picture, fields = await PictureForm(request.headers, self._body.chunks(request)).read()
            received = time.monotonic()
            wanted = parse_request((*in_query, *fields), wishes)
        elif kind.startswith("image/") or kind == "application/octet-stream":
            wanted = parse_request(in_query, wishes)
            picture = await self._raw(request)
            received = time.monotonic()
        else:
            raise UnsupportedImage(
                f"The content type {shown(kind)} is not supported; send multipart/form-data with "
                "the file field 'image', or the picture itself as image/* or "
                "application/octet-stream."
            )
        if not picture:
            raise EmptyBody()
        return Upload(picture, wanted, received)

    async def _raw(self, request: Request) -> bytes:
        buffer = PictureBuffer(declared_length(request.headers))
        async for chunk in self._body.chunks(request):
            buffer.write(chunk)
        return buffer.picture()


def _content_type(request: Request) -> str:
    declared = request.headers.get("content-type", "application/octet-stream")
    return declared.partition(";")[0].strip().lower()
