"""Preamble of a multipart body: text before the first boundary, which a reader ignores (RFC 2046,
section 5.1.1) and python-multipart refuses."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from jobs.errors import InvalidRequest


async def without_preamble(
    stream: AsyncGenerator[bytes, None], boundary: bytes
) -> AsyncGenerator[bytes, None]:
    """Yield a body from its first boundary on, in pieces as they arrive.

    Raises InvalidRequest at the end of a body without the boundary, and the errors of the stream.
    """
    # A boundary begins a line, also the first one: so the body is read as if after a line's end.
    line = b"\r\n--" + boundary
    seen = b"\r\n"
    async for chunk in stream:
        seen += chunk
        if (start := seen.find(line)) >= 0:
            yield seen[start + 2 :]
            break
        seen = seen[-len(line) :]
    else:
        raise InvalidRequest(
            "The form cannot be read: its body does not hold the boundary of its Content-Type."
        )
    async for chunk in stream:
        yield chunk
