"""Pictures that callers have written into the bucket, read within the bounds of a body: the size
before any byte, then the head, then the rest only of what is a picture."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from images.signature import format_of
from jobs.errors import BodyTooLarge, SourceChanged, UploadNotFound, UploadsDisabled, UploadUnfilled
from jobs.outages import PicturesUnreachable
from jobs.uploads import StoredUpload, TakenUpload, Uploads
from service.picture_buffer import PictureBuffer
from service.settings import GatewaySettings

UPLOAD_ID = re.compile(r"[0-9a-f]{32}")
HEAD_BYTES = 1 << 16
PIECE_BYTES = 4 << 20
"""Read at once, so that a file which is far too large for its pixels is given up early."""


class StoredUploads:
    """Hands the pictures of uploads to requests, each to one."""

    def __init__(self, uploads: Uploads | None, settings: GatewaySettings) -> None:
        self._uploads = uploads
        self._limit = settings.max_body_bytes
        self._timeout_s = settings.upload_timeout_seconds

    @property
    def enabled(self) -> Uploads:
        """The uploads. Raises UploadsDisabled where there are none."""
        if self._uploads is None:
            raise UploadsDisabled
        return self._uploads

    @asynccontextmanager
    async def taken(self, upload_id: str, owner: str, by: str) -> AsyncIterator[TakenUpload]:
        """Have an upload of an owner for as long as the block runs, which uses it up unless it ends
        with an error. Raises UploadsDisabled and as `Uploads.take`."""
        uploads = self.enabled
        if not UPLOAD_ID.fullmatch(upload_id):
            raise UploadNotFound
        upload = await uploads.take(upload_id, owner, by)
        try:
            yield upload
        except BaseException:
            await asyncio.shield(uploads.end(upload, used=False))
            raise
        await uploads.end(upload, used=True)

    async def picture(self, upload: TakenUpload) -> bytes:
        """Return the bytes of a taken upload. Raises UploadUnfilled, BodyTooLarge, EmptyBody,
        UnsupportedImage, SourceChanged, and ConnectionError if that takes too long."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._read(upload)
        except TimeoutError:
            raise PicturesUnreachable("an upload takes too long to read") from None

    async def _read(self, upload: TakenUpload) -> bytes:
        stored = await self.enabled.stored(upload)
        if stored is None:
            raise UploadUnfilled
        self._check_size(upload, stored.size)
        buffer = PictureBuffer(stored.size)
        head = await self._part(upload, stored, 0, min(HEAD_BYTES, stored.size))
        format_of(head)
        buffer.write(head)
        for first in range(len(head), stored.size, PIECE_BYTES):
            end = min(first + PIECE_BYTES, stored.size)
            buffer.write(await self._part(upload, stored, first, end))
        return buffer.picture()

    async def _part(self, upload: TakenUpload, stored: StoredUpload, first: int, end: int) -> bytes:
        part = await self.enabled.part(upload, stored, first, end) if end else b""
        if part is None or len(part) != end - first:
            raise SourceChanged
        return part

    def _check_size(self, upload: TakenUpload, size: int) -> None:
        most = min(upload.most, self._limit)
        if size > most:
            raise BodyTooLarge(
                f"The upload has {size} bytes; it may have {most}.", max_body_bytes=most
            )
