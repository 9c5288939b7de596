"""Uploads: reads a request body within bounds, and refuses a larger one while it arrives."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from jobs.errors import BodyTooLarge, EmptyBody, InvalidRequest, Overloaded, UnsupportedImage
from scheduling.request import PARAMETERS, UpscaleRequest, parse_request, shown
from service.settings import GatewaySettings

MULTIPART = "multipart/form-data"
FILE_FIELD = "image"
LONGEST_FIELD = 1024
"""Most bytes of a form field that is not the picture."""
MOST_FIELDS = len(PARAMETERS) + 8
"""Most fields of a form: more than there are, so that an error can name an unknown one."""
UPLOAD_RETRY_S = 1
"""Retry-After while too many uploads are in progress."""


@dataclass(frozen=True)
class Upload:
    """A complete upload: the encoded picture and the parameters of the request."""

    picture: bytes
    wanted: UpscaleRequest
    received: float
    """End of the upload by time.monotonic(), at which the latency budget starts."""


class UploadReader:
    """Reads request bodies, with a limit on size, time and number at once."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._limit = settings.max_body_bytes
        self._timeout_s = settings.upload_timeout_seconds
        self._free = settings.max_uploads

    async def read(self, request: Request) -> Upload:
        """Return the upload of a request.

        Raises BodyTooLarge as soon as the limit is passed, EmptyBody, UnsupportedImage (the
        content type), InvalidRequest, Overloaded (too many uploads at once), and HTTPException 408
        when the body takes too long.
        """
        self._check_declared_length(request)
        with self._slot():
            try:
                async with asyncio.timeout(self._timeout_s):
                    return await self._read(request)
            except TimeoutError:
                raise HTTPException(
                    408, f"The request body took longer than {self._timeout_s:g} s to arrive."
                ) from None

    async def _read(self, request: Request) -> Upload:
        kind = _content_type(request)
        if kind == MULTIPART:
            if request.query_params:
                raise InvalidRequest(
                    "With multipart/form-data the parameters are form fields; the query must be "
                    "empty."
                )
            picture, fields = await self._form(request)
            received = time.monotonic()
            wanted = parse_request(fields)
        elif kind.startswith("image/") or kind == "application/octet-stream":
            wanted = parse_request(request.query_params.multi_items())
            picture = b"".join([chunk async for chunk in self._counted(request)])
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

    async def _form(self, request: Request) -> tuple[bytes, list[tuple[str, str]]]:
        parser = MultiPartParser(
            request.headers,
            self._counted(request),
            max_files=1,
            max_fields=MOST_FIELDS,
            max_part_size=LONGEST_FIELD,
        )
        # The limit on the body bounds memory, so nothing is ever spooled to disk.
        parser.spool_max_size = self._limit + 1
        try:
            form = await parser.parse()
        except MultiPartException as error:
            raise InvalidRequest(f"The form cannot be read: {error.message}") from None
        except (LookupError, UnicodeError, AssertionError):
            raise InvalidRequest("The form cannot be read: its encoding is unknown.") from None
        try:
            return await _picture_and_fields(form.multi_items())
        finally:
            await form.close()

    async def _counted(self, request: Request) -> AsyncGenerator[bytes, None]:
        count = 0
        async for chunk in request.stream():
            count += len(chunk)
            if count > self._limit:
                raise self._too_large()
            yield chunk

    def _check_declared_length(self, request: Request) -> None:
        declared = request.headers.get("content-length", "")
        if declared.isdecimal() and int(declared[:20]) > self._limit:
            raise self._too_large()

    def _too_large(self) -> BodyTooLarge:
        return BodyTooLarge(f"The request body is larger than {self._limit} bytes.")

    @contextmanager
    def _slot(self) -> Iterator[None]:
        if not self._free:
            raise Overloaded("Too many uploads at once.", retry_after_s=UPLOAD_RETRY_S)
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1


def _content_type(request: Request) -> str:
    declared = request.headers.get("content-type", "application/octet-stream")
    return declared.partition(";")[0].strip().lower()


async def _picture_and_fields(
    items: list[tuple[str, UploadFile | str]],
) -> tuple[bytes, list[tuple[str, str]]]:
    picture, fields = b"", []
    for name, value in items:
        if isinstance(value, UploadFile):
            if name != FILE_FIELD:
                raise InvalidRequest(f"The file field must be named 'image', not {shown(name)}.")
            picture = await value.read()
        elif name == FILE_FIELD:
            raise InvalidRequest("The field 'image' must be a file, with a file name.")
        else:
            fields.append((name, value))
    return picture, fields
