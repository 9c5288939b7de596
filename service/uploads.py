"""Uploads: reads a request's picture and parameters within bounds, into one buffer."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from starlette.requests import Request

from jobs.errors import BodyTooLarge, EmptyBody, InvalidRequest, UnsupportedImage
from scheduling.request import UpscaleRequest, shown
from service.body_bounds import BodyReader, declared_length
from service.caller_gone import first, gone
from service.form import PictureForm
from service.picture_buffer import PictureBuffer
from service.plain_form import plain_fields
from service.settings import GatewaySettings
from service.sources.parameter import SOURCE, parse_with_source
from service.sources.reader import SourceReader
from service.upload_slots import UploadSlots, client_of

URLENCODED = "application/x-www-form-urlencoded"
BATCHES = "batches"
"""Stands for a client's address among the slots."""
FORMS = frozenset({"multipart/form-data", URLENCODED})


@dataclass(frozen=True)
class Upload:
    """A complete upload: the encoded picture and the parameters of the request."""

    picture: bytes
    wanted: UpscaleRequest
    received: float
    """When the picture was complete, by time.monotonic(): the latency budget starts here."""
    fetched: bool = False
    """Whether the gateway fetched the picture from an address in the request."""


class UploadReader:
    """Reads request bodies, with a limit on size, time, rate and number at once."""

    def __init__(self, settings: GatewaySettings, sources: SourceReader) -> None:
        self._body = BodyReader(settings)
        self._slots = UploadSlots(settings.max_uploads, settings.uploads_per_client)
        self._sources = sources

    @asynccontextmanager
    async def received(
        self, request: Request, kind: type[UpscaleRequest] = UpscaleRequest
    ) -> AsyncIterator[Upload]:
        """Receive the upload of a request, which may have the parameters of this kind, or fetch the
        picture that it names, and hold its slot for as long as the block runs.

        Raises the errors of `held`, `BodyReader.chunks`, `PictureBuffer.write` and
        `SourceReader.picture`, EmptyBody, UnsupportedImage (the content type), InvalidRequest, and
        CallerGone while a picture is fetched.
        """
        async with self.held(request):
            yield await self._read(request, kind)

    @asynccontextmanager
    async def held(self, request: Request) -> AsyncIterator[BodyReader]:
        """Hold a slot for the body of a request for as long as the block runs, and yield what reads
        it. Raises BodyTooLarge by its declared length, and Overloaded (too many uploads at
        once)."""
        self._body.check_declared_length(request.headers)
        with self._slots.taken(client_of(request)):
            yield self._body

    @asynccontextmanager
    async def fetched(self, source: str, wanted: UpscaleRequest) -> AsyncIterator[Upload]:
        """Fetch the picture of a batch's source, and hold a slot for as long as the block runs: all
        batches together have as many as one client. Raises as `SourceReader.picture`, Overloaded
        and EmptyBody."""
        with self._slots.taken(BATCHES):
            picture = await self._sources.picture(source)
            if not picture:
                raise EmptyBody("The address leads to no picture: it is empty.")
            yield Upload(picture, wanted, time.monotonic())

    async def text(self, request: Request, most: int) -> bytes:
        """Return a body that is no picture, of `most` bytes at most. Raises as `received`."""
        self._body.check_declared_length(request.headers)
        with self._slots.taken(client_of(request)):
            content = bytearray()
            async for chunk in self._body.chunks(request):
                content += chunk
                if len(content) > most:
                    raise BodyTooLarge(f"This body may have {most} bytes.", max_body_bytes=most)
            return bytes(content)

    async def close(self) -> None:
        """Close the connections to stores."""
        await self._sources.close()

    async def _read(self, request: Request, wishes: type[UpscaleRequest]) -> Upload:
        kind = _content_type(request)
        in_query = request.query_params.multi_items()
        if kind in FORMS:
            picture, fields = await self._form(kind, request)
            received = time.monotonic()
            wanted, source = parse_with_source((*in_query, *fields), wishes)
        elif kind.startswith("image/") or kind == "application/octet-stream":
            wanted, source = parse_with_source(in_query, wishes)
            picture = await self._raw(request)
            received = time.monotonic()
        else:
            raise UnsupportedImage(
                f"The content type {shown(kind)} is not supported; send multipart/form-data with "
                "the file field 'image', or the picture itself as image/* or "
                "application/octet-stream."
            )
        if source is not None:
            if picture:
                raise InvalidRequest(f"Send a picture or '{SOURCE}', not both.")
            picture = await first(self._sources.picture(source), gone(request))
            received = time.monotonic()
        if not picture:
            raise EmptyBody()
        return Upload(picture, wanted, received, fetched=source is not None)

    async def _form(self, kind: str, request: Request) -> tuple[bytes, list[tuple[str, str]]]:
        if kind == URLENCODED:
            return b"", await plain_fields(self._body.chunks(request))
        return await PictureForm(request.headers, self._body.chunks(request)).read()

    async def _raw(self, request: Request) -> bytes:
        buffer = PictureBuffer(declared_length(request.headers))
        async for chunk in self._body.chunks(request):
            buffer.write(chunk)
        return buffer.picture()


def _content_type(request: Request) -> str:
    declared = request.headers.get("content-type", "application/octet-stream")
    return declared.partition(";")[0].strip().lower()
