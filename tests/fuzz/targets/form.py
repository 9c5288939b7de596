"""A form (`service.form`): read the same however it is cut into pieces, or refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from starlette.datastructures import Headers

from benchmarks.specimens import specimens
from jobs.errors import InvalidRequest
from service.form import MOST_FIELDS, PictureForm, longest
from tests.fuzz.target import Target, read_or_refused

Form = tuple[bytes, list[tuple[str, str]]]


def run(data: bytes) -> None:
    """Read a form: a line with the size of a piece and the content type, then the body."""
    head, _, body = data.partition(b"\n")
    piece, content_type = 1 + head[0] if head else 1, head[1:]
    whole = _read(content_type, [body])
    pieces = _read(content_type, [body[at : at + piece] for at in range(0, len(body), piece)])
    assert pieces == whole
    for form in filter(None, (whole, pieces)):
        _check(form, body)


def _read(content_type: bytes, pieces: list[bytes]) -> Form | None:
    """Return picture and fields, None if the form is refused."""
    headers = Headers(raw=[(b"content-type", content_type)])

    async def stream() -> AsyncGenerator[bytes, None]:
        for piece in pieces:
            yield piece

    return read_or_refused(
        lambda: asyncio.run(PictureForm(headers, stream()).read()), (InvalidRequest,)
    )


def _check(form: Form, body: bytes) -> None:
    picture, fields = form
    assert len(picture) <= len(body)
    assert len(fields) <= MOST_FIELDS
    assert all(len(value) <= longest(name) for name, value in fields)


def part(name: str, content: bytes, more: str = "") -> bytes:
    """Return one part of a form whose boundary is `x`."""
    head = f'--x\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'
    return head.encode() + content + b"\r\n"


def seeds() -> list[bytes]:
    """Return forms with and without a picture, whole and torn, in several encodings."""
    picture = part("image", specimens()["png L"], '; filename="a.png"')
    scale, end = part("scale", b"2"), b"--x--\r\n"
    odd = part("image", b"a", "; filename*=utf-8''%e2%82%ac")
    bodies = [scale + picture + end, picture + end, scale + end, scale + picture[:90], odd + end]
    bodies += [b"before\r\n" + picture + end + b"after", b"\r\n" + scale + end, b"--y\r\n" + end]
    kinds = [b"", b"; charset=utf-7", b"; charset=rot13", b"; charset=\0", b'; charset="utf-16"']
    return [
        bytes([size]) + b"multipart/form-data; boundary=x" + kind + b"\n" + body
        for size in (0, 7, 255)
        for kind in kinds
        for body in bodies
    ]


TARGET = Target(run, seeds, longest=4096)
