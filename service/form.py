"""Form with a picture: parses multipart/form-data into one buffer and the other fields."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator

from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from jobs.errors import InvalidRequest
from scheduling.request import PARAMETERS, shown
from service.body_bounds import declared_length
from service.form_preamble import without_preamble
from service.outbound.urls import LONGEST_URL
from service.picture_buffer import PictureBuffer
from service.sources.parameter import SOURCE

FILE_FIELD = "image"
LONGEST_FIELD = 1024
"""Most bytes of a form field that is neither the picture nor its address."""
MOST_FIELDS = len(PARAMETERS) + 9
"""Most fields of a form: more than there are, so that an error can name an unknown one."""
LONGEST_REST = 1 << 16
"""Bytes of a form beside its picture: its declared length without them is that of the picture."""
QUOTED = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)', re.DOTALL)
"""A quoted string in a header, closed or not."""
FILE_NAME = re.compile(rb";[ \t]*filename[ \t]*=", re.IGNORECASE)
EXTENDED_FILE_NAME = re.compile(rb";[ \t]*filename\*(?:[0-9]+\*?)?[ \t]*=", re.IGNORECASE)
"""RFC 8187's form of the parameter. RFC 7578 forbids it in forms and browsers never send it, but
HTTP libraries do for names beyond ASCII, and then alone."""


def longest(name: str) -> int:
    """Return the most bytes that a field of this name may have."""
    return LONGEST_URL if name == SOURCE else LONGEST_FIELD


class PictureForm(MultiPartParser):
    """starlette's parser for a form with one file, whose bytes go straight into one buffer."""

    def __init__(self, headers: Headers, stream: AsyncGenerator[bytes, None]) -> None:
        super().__init__(
            headers, stream, max_files=1, max_fields=MOST_FIELDS, max_part_size=LONGEST_URL
        )
        self._picture = PictureBuffer(declared_length(headers) - LONGEST_REST)
        self._in_part = False

    def on_part_begin(self) -> None:
        super().on_part_begin()
        self._in_part = True

    def on_part_end(self) -> None:
        super().on_part_end()
        self._in_part = False

    def on_headers_finished(self) -> None:
        """Read a part's head; a part with either form of a file name is a file."""
        part = self._current_part
        if _has_only_extended_file_name(part.content_disposition or b""):
            part.content_disposition = (part.content_disposition or b"") + b'; filename="named"'
        super().on_headers_finished()

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        """Write a piece of the file into the buffer; starlette would copy it at each of its
        steps, and once more at the end."""
        part = self._current_part
        if part.file is None:
            if len(part.data) + end - start > longest(part.field_name):
                raise InvalidRequest(_too_long(part.field_name))
            super().on_part_data(data, start, end)
        else:
            self._picture.write(memoryview(data)[start:end])

    async def read(self) -> tuple[bytes, list[tuple[str, str]]]:
        """Return the picture, empty without a file, and the other fields. Raises InvalidRequest,
        and the errors of the stream and of `PictureBuffer.write`."""
        try:
            _, options = parse_options_header(self.headers["content-type"])
            if boundary := options.get(b"boundary"):
                self.stream = without_preamble(self.stream, boundary)
            form = await self.parse()
        except MultiPartException as error:
            raise InvalidRequest(f"The form cannot be read: {error.message}") from None
        except (LookupError, ValueError, AssertionError):
            raise InvalidRequest("The form cannot be read: its encoding is unknown.") from None
        try:
            if self._in_part:
                raise InvalidRequest("The form cannot be read: it ends within a part.")
            return self._picture.picture(), _fields(form.multi_items())
        finally:
            await form.close()
            await self._close_unfinished()

    async def _close_unfinished(self) -> None:
        """Close the file of a part without an end, which starlette's form does not have."""
        if self._current_part.file is not None:
            await self._current_part.file.close()


def _has_only_extended_file_name(disposition: bytes) -> bool:
    outside = QUOTED.sub(b'""', disposition)
    return bool(EXTENDED_FILE_NAME.search(outside)) and not FILE_NAME.search(outside)


def _too_long(name: str) -> str:
    if name == FILE_FIELD:
        return _no_file_name()
    return f"The field {shown(name)} is longer than {longest(name)} bytes."


def _no_file_name() -> str:
    return (
        f"The part '{FILE_FIELD}' has no file name, so it is text and not a file; send it with "
        f'one: Content-Disposition: form-data; name="{FILE_FIELD}"; filename="photo.png".'
    )


def _fields(items: list[tuple[str, UploadFile | str]]) -> list[tuple[str, str]]:
    fields = []
    for name, value in items:
        if isinstance(value, UploadFile):
            if name != FILE_FIELD:
                raise InvalidRequest(f"The file field must be named 'image', not {shown(name)}.")
        elif name == FILE_FIELD:
            raise InvalidRequest(_no_file_name())
        else:
            fields.append((name, value))
    return fields
