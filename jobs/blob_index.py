"""The index of the bucket's objects, in the queue's Redis: how large each is, and until when it is
kept. What is not in the index does not belong in the bucket."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources

from jobs.connection import SteadyRedis
from jobs.keys import Keys
from jobs.outages import BucketFull
from jobs.queue_health import BucketFill

TOTAL = "total"


class BlobIndex:
    """The objects of one namespace, which together may have `most_bytes`."""

    def __init__(self, client: SteadyRedis, keys: Keys, most_bytes: int) -> None:
        folder = resources.files("jobs") / "lua"
        self._client = client
        self._names = [keys.blobs_by_expiry, keys.blob_sizes]
        self.most_bytes = most_bytes
        self._reserve = client.register_script((folder / "reserve_blob.lua").read_text("utf-8"))
        self._forget = client.register_script((folder / "forget_blobs.lua").read_text("utf-8"))

    async def reserve(self, name: str, size: int, kept_s: float) -> None:
        """Note an object of `size` bytes that is about to be written, and is deleted after
        `kept_s` seconds. Raises BucketFull."""
        arguments: list[str | float] = [name, size, round(kept_s * 1000), self.most_bytes]
        if not await self._reserve(keys=self._names, args=arguments):
            raise BucketFull("the pictures in the bucket take as much as they may")

    async def size(self, name: str) -> int:
        """Return the bytes of an object; 0 where it is not noted, or has expired."""
        expiring, sizes = self._names
        now, expiry, size = await self._client.together(
            ("TIME",), ("ZSCORE", expiring, name), ("HGET", sizes, name)
        )
        if expiry is None or size is None or float(expiry) <= _ms(now):
            return 0
        return int(size)

    async def left_s(self, name: str) -> float:
        """Return for how many seconds more an object is kept; 0 where it is not."""
        now, expiry = await self._client.together(("TIME",), ("ZSCORE", self._names[0], name))
        return 0.0 if expiry is None else max(0.0, (float(expiry) - _ms(now)) / 1e3)

    async def expire(self, names: Sequence[str], after_s: float = 0.0) -> None:
        """Have objects deleted from now on, or after some seconds, whatever was noted."""
        if names:
            (now,) = await self._client.together(("TIME",))
            pairs = [part for name in names for part in (_ms(now) + after_s * 1e3, name)]
            await self._client.execute_command("ZADD", self._names[0], "XX", *pairs)

    async def expired(self, most: int) -> tuple[list[str], float]:
        """Return up to `most` objects that are to be deleted, and the present in ms."""
        (now,) = await self._client.together(("TIME",))
        names = await self._client.execute_command(
            *("ZRANGEBYSCORE", self._names[0], "-inf", _ms(now), "LIMIT", 0, most)
        )
        return [name.decode() for name in names], _ms(now)

    async def forget(self, names: Sequence[str], until_ms: float | None = None) -> None:
        """Forget objects that were deleted; with `until_ms` only those that had expired then."""
        if names:
            until = "" if until_ms is None else until_ms
            await self._forget(keys=self._names, args=[until, *names])

    async def unknown(self, names: Sequence[str]) -> list[str]:
        """Return those of some objects that are not noted."""
        scores = await self._client.execute_command("ZMSCORE", self._names[0], *names)
        return [name for name, score in zip(names, scores, strict=True) if score is None]

    async def fill(self) -> BucketFill:
        """Return what all objects take."""
        objects, total = await self._client.together(
            ("ZCARD", self._names[0]), ("HGET", self._names[1], TOTAL)
        )
        return BucketFill(int(objects), int(total or 0), self.most_bytes)


def _ms(time: Sequence[int]) -> float:
    """Return the answer of TIME in ms."""
    return int(time[0]) * 1e3 + int(time[1]) // 1000
