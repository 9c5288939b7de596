"""Uploads: reads a request's picture and parameters within bounds, into one buffer."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from starlette.requests import Request

from jobs.errors import BodyTooLarge, EmptyBody, InvalidRequest, UnsupportedImage
from scheduling.request import UpscaleRequest, shown
from service.access.caller import caller_of
from service.access.keys import ANYONE
from service.body_bounds import BodyReader, declared_length
from service.caller_gone import first, gone
from service.form import PictureForm
from service.idempotency import idempotency_key
from service.picture_buffer import PictureBuffer
from service.plain_form import plain_fields
from service.settings import GatewaySettings
from service.sources.parameter import UPLOAD, Source, parse_with_source
from service.sources.reader import SourceReader
from service.stored_uploads import StoredUploads
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
    """Whether the gateway fetched the picture from an address in the request, or from the
    bucket."""


class UploadReader:
    """Reads request bodies, with a limit on size, time, rate and number at once."""

    def __init__(
        self, settings: GatewaySettings, sources: SourceReader, stored: StoredUploads
    ) -> None:
        self._body = BodyReader(settings)
        self._slots = UploadSlots(settings.max_uploads, settings.uploads_per_client)
        self._sources = sources
        self.stored = stored
        """What callers have written into the bucket."""

    @asynccontextmanager
    async def received(
        self, request: Request, kind: type[UpscaleRequest] = UpscaleRequest
    ) -> AsyncIterator[Upload]:
        """Receive the upload of a request, which may have the parameters of this kind, or fetch the
        picture that it names, and hold its slot for as long as the block runs.

        Raises the errors of `held`, `BodyReader.chunks`, `PictureBuffer.write` and
        `SourceReader.picture`, `StoredUploads.taken` and `StoredUploads.picture`, EmptyBody,
        UnsupportedImage (the content type), InvalidRequest, and CallerGone while a picture is
        fetched.
        """
        async with self.held(request):
            picture, wanted, source = await self._read(request, kind)
            if source is not None and picture:
                raise InvalidRequest(f"Send a picture or '{source.name}', not both.")
            if source is not None and source.name == UPLOAD:
                async with self._from_bucket(request, source.text) as picture:
                    yield _complete(picture, wanted, fetched=True)
                return
            if source is not None:
                picture = await first(self._sources.picture(source.text), gone(request))
            yield _complete(picture, wanted, fetched=source is not None)

    @asynccontextmanager
    async def _from_bucket(self, request: Request, upload_id: str) -> AsyncIterator[bytes]:
        """Yield the picture of an upload, which is used up unless the block ends with an error."""
        client, key = caller_of(request), idempotency_key(request.headers)
        owner = "" if client is ANYONE else client.name
        async with self.stored.taken(upload_id, owner, key or "") as upload:
            yield await first(self.stored.picture(upload), gone(request))

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

    async def _read(
        self, request: Request, wishes: type[UpscaleRequest]
    ) -> tuple[bytes, UpscaleRequest, Source | None]:
        """Return the picture in a request, its parameters, and where its picture is otherwise."""
        kind = _content_type(request)
        in_query = request.query_params.multi_items()
        if kind in FORMS:
            picture, fields = await self._form(kind, request)
            return picture, *parse_with_source((*in_query, *fields), wishes)
        if kind.startswith("image/") or kind == "application/octet-stream":
            wanted, source = parse_with_source(in_query, wishes)
            return await self._raw(request), wanted, source
        raise UnsupportedImage(
            f"The content type {shown(kind)} is not supported; send multipart/form-data with "
            "the file field 'image', or the picture itself as image/* or "
            "application/octet-stream."
        )

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


def _complete(picture: bytes, wanted: UpscaleRequest, *, fetched: bool) -> Upload:
    """Return an upload that has arrived just now. Raises EmptyBody."""
    if not picture:
        raise EmptyBody()
    return Upload(picture, wanted, time.monotonic(), fetched)
