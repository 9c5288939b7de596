"""A request's body, taken in parts as it arrives."""

from __future__ import annotations

from collections.abc import AsyncIterator

from jobs.errors import InvalidRequest


class Pieces:
    """The part of a body that was not taken yet. Its methods raise the errors of the stream."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self._ahead = memoryview(b"")
        """What has arrived and was not taken."""

    async def take(self, count: int, what: str) -> bytes:
        """Return the next `count` bytes. Raises InvalidRequest, which says that `what` is cut off,
        if the body ends before."""
        taken = bytearray()
        while (missing := count - len(taken)) > 0:
            piece = await self._next()
            if piece is None:
                raise InvalidRequest(
                    f"The body ends within {what}, after {len(taken)} bytes of it."
                )
            taken += piece[:missing]
            self._ahead = piece[missing:]
        return bytes(taken)

    async def rest(self) -> AsyncIterator[memoryview]:
        """Yield all that is left."""
        while (piece := await self._next()) is not None:
            self._ahead = memoryview(b"")
            yield piece

    async def _next(self) -> memoryview | None:
        """Return a piece that is not empty; None at the end."""
        while not self._ahead:
            chunk = await anext(self._chunks, None)
            if chunk is None:
                return None
            self._ahead = memoryview(chunk)
        return self._ahead
