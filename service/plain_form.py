"""Form without a file (application/x-www-form-urlencoded), within the bounds of other forms."""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import parse_qsl

from jobs.errors import InvalidRequest
from scheduling.request import shown
from service.form import MOST_FIELDS, longest
from service.outbound.urls import LONGEST_URL

LONGEST_FORM = 4 * LONGEST_URL
"""Bytes: an address of which every byte is escaped, and the other fields."""


async def plain_fields(chunks: AsyncIterator[bytes]) -> list[tuple[str, str]]:
    """Return the fields of a form. Raises InvalidRequest, and the errors of the stream."""
    content = b""
    async for chunk in chunks:
        content += chunk
        if len(content) > LONGEST_FORM:
            raise InvalidRequest(
                f"A form without a file may have {LONGEST_FORM} bytes; send the picture as "
                "multipart/form-data."
            )
    try:
        fields = parse_qsl(
            content.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(content),
            errors="strict",
            max_num_fields=MOST_FIELDS,
        )
    except ValueError:
        raise InvalidRequest("The form cannot be read.") from None
    for name, value in fields:
        if len(value.encode()) > longest(name):
            raise InvalidRequest(f"The field {shown(name)} is longer than {longest(name)} bytes.")
    return fields
