"""A bucket of an S3 store: objects are written, read and deleted whole, within bounds of time.

obstore speaks to the store; its errors become outages, whose texts hold neither URLs nor what the
store said beside its code, because both can hold a part of the credentials.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from jobs.bucket_settings import BucketSettings
from jobs.outages import CALL_TIMEOUT_S, CONNECT_TIMEOUT_S, BucketUnavailable
from jobs.presigning import Key, presigned
from jobs.settings import QueueSettings
from jobs.settings_errors import SettingsError

if TYPE_CHECKING:
    from obstore import ListStream, ObjectMeta
    from obstore.store import ClientConfig, RetryConfig, S3Config, S3Store

log = logging.getLogger("anysr.jobs.bucket")

LEAST_BYTES_PER_S = 4 << 20
"""A slower transfer is an outage, after `CALL_TIMEOUT_S`."""
LONGEST_CALL = timedelta(minutes=10)
"""Of obstore's own; the bounds here are shorter."""
RETRIES, RETRIED_S = 2, 2.0
"""Bridges a dropped connection or one 503, not an outage."""
PROBE_S = 5.0
"""A bucket that takes longer to say that it has no such object is away."""
CODE = re.compile(r"<Code>(\w{1,64})</Code>")
STATUS = re.compile(r"status code: (\d{3})")
MISSING_BUCKET = "NoSuchBucket"

T = TypeVar("T")


class BucketRefused(SettingsError):
    """The bucket in ANYSR_BLOB_URL is missing, or denies what the service needs."""


@dataclass(frozen=True)
class Meta:
    """What a store knows of an object."""

    size: int
    """Bytes."""
    tag: str | None
    """The entity tag: another content has another one."""


class Bucket:
    """The bucket of the pictures. Every call may raise BucketUnavailable."""

    def __init__(self, settings: BucketSettings) -> None:
        self.settings = settings

    @cached_property
    def _store(self) -> S3Store:
        return _store(self.settings, self.settings.endpoint)

    @cached_property
    def _callers_store(self) -> S3Store:
        return _store(self.settings, self.settings.address_for_callers)

    def name(self, *parts: str) -> str:
        """Return the name of an object of this service."""
        return "/".join(part for part in (self.settings.prefix, *parts) if part)

    async def put(self, name: str, content: bytes, media_type: str = "") -> None:
        """Write an object, in place of one that is there."""
        import obstore

        await self._bounded(
            lambda: obstore.put_async(
                self._store,
                name,
                content,
                attributes={"Content-Type": media_type or "application/octet-stream"},
                use_multipart=False,  # parts that are left behind would be seen by nobody
            ),
            len(content),
        )

    async def get(self, name: str, most: int) -> bytes | None:
        """Return an object; None where there is none. One of more than `most` bytes, which somebody
        else has written, is not read either."""

        async def read() -> bytes | None:
            import obstore

            try:
                found = await obstore.get_async(self._store, name)
            except FileNotFoundError as error:
                if MISSING_BUCKET in str(error):
                    raise
                return None
            if found.meta["size"] > most:
                log.warning("%s has %d bytes, %d were written", name, found.meta["size"], most)
                return None
            return bytes(await found.bytes_async())

        return await self._bounded(read, most)

    async def meta(self, name: str) -> Meta | None:
        """Return what the store knows of an object; None where there is none."""

        async def head() -> Meta | None:
            import obstore

            try:
                found = await obstore.head_async(self._store, name)
            except FileNotFoundError:
                return None
            return Meta(found["size"], found["e_tag"])

        return await self._bounded(head)

    async def part(self, name: str, first: int, end: int, tag: str | None) -> bytes | None:
        """Return the bytes of an object from `first` to before `end`, if it has this entity tag;
        None where it was changed meanwhile, or is gone."""

        async def read() -> bytes | None:
            import obstore
            from obstore.exceptions import PreconditionError

            try:
                found = await obstore.get_async(
                    self._store, name, options={"range": (first, end), "if_match": tag}
                )
            except (FileNotFoundError, PreconditionError):
                return None
            if found.range[1] - found.range[0] > end - first:
                raise self._unavailable("answers a range with more than was asked for")
            return bytes(await found.bytes_async())

        return await self._bounded(read, end - first)

    async def copy(self, name: str, to: str, size: int) -> bool:
        """Copy an object of `size` bytes within the store; return whether it is there."""

        async def copied() -> bool:
            import obstore

            try:
                await obstore.copy_async(self._store, name, to)
            except FileNotFoundError:
                return False
            return True

        return await self._bounded(copied, size)

    async def delete(self, names: Sequence[str]) -> None:
        """Delete objects; those that are gone already are no error."""

        async def deleted() -> None:
            import obstore

            # Of many in one request, which the store need not support for one.
            await obstore.delete_async(self._store, names[0] if len(names) == 1 else names)

        if names:
            await self._bounded(deleted)

    async def listed(self) -> AsyncIterator[list[tuple[str, datetime]]]:
        """Yield names and times of change of this service's objects, page by page."""
        import obstore

        pages = obstore.list(self._store, self.settings.prefix, chunk_size=1000)
        while True:
            page = await self._bounded(lambda: _page(pages))
            if page is None:
                return
            yield [(found["path"], found["last_modified"]) for found in page]

    async def probe(self) -> None:
        """Raise BucketUnavailable unless the bucket answers as it should."""
        async with self._within(PROBE_S):
            await self.get(self.name("probe"), 1)

    async def check(self) -> None:
        """Check at a start that objects can be read, written and deleted. Raises BucketRefused for
        what no waiting mends; an outage is in the log, because it may end."""
        name = self.name("checks", secrets.token_hex(8))
        try:
            await self.probe()
            await self.put(name, b"written by a start of the service")
            await self.delete([name])
        except BucketUnavailable as error:
            if error.lasting:
                raise BucketRefused(f"ANYSR_BLOB_URL: {error}.") from None
            log.warning("%s", error)

    async def url_to_get(self, name: str, valid_s: int) -> str:
        """Return a URL from which a caller can fetch an object."""
        import obstore

        valid = timedelta(seconds=valid_s)
        store = self._callers_store
        return await self._bounded(lambda: obstore.sign_async(store, "GET", name, valid))

    @property
    def can_sign_puts(self) -> bool:
        """Whether there are credentials by which `url_to_put` can sign."""
        return self.settings.access_key_id is not None

    def url_to_put(self, name: str, headers: dict[str, str], valid_s: int) -> str:
        """Return a URL to which a caller can write an object, with exactly these headers."""
        settings = self.settings
        if settings.access_key_id is None or settings.secret_access_key is None:
            raise ValueError("only a key in the settings can sign")
        key = Key(settings.access_key_id, settings.secret_access_key, settings.region)
        scheme, _, host = settings.address_for_callers.partition("://")
        place = f"{scheme}://{host}/{settings.bucket}"
        if settings.virtual_hosted:
            place = f"{scheme}://{settings.bucket}.{host}"
        return presigned("PUT", f"{place}/{name}", headers, key, valid_s)

    async def _bounded(self, call: Callable[[], Awaitable[T]], size: int = 0) -> T:
        """Return what a call returns, within the time for so many bytes."""
        from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

        try:
            async with self._within(CALL_TIMEOUT_S + size / LEAST_BYTES_PER_S):
                return await call()
        except (PermissionDeniedError, UnauthenticatedError) as error:
            raise self._unavailable(f"denies access ({_reason(error)})", lasting=True) from None
        except FileNotFoundError:  # of a whole bucket: that of an object is dealt with before
            raise self._unavailable("does not exist", lasting=True) from None
        except (BaseError, OSError) as error:
            raise self._unavailable(_reason(error)) from None

    @contextlib.asynccontextmanager
    async def _within(self, seconds: float) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError:
            raise self._unavailable(f"takes longer than {seconds:.3g} s") from None

    def _unavailable(self, why: str, *, lasting: bool = False) -> BucketUnavailable:
        return BucketUnavailable(f"the bucket {self.settings.address} {why}", lasting=lasting)


def check_bucket(settings: QueueSettings) -> None:
    """Check the bucket of the pictures at a start, if they have one. Raises BucketRefused."""
    if settings.bucket is not None:
        asyncio.run(Bucket(settings.bucket).check())


def _store(settings: BucketSettings, endpoint: str | None) -> S3Store:
    from obstore.store import S3Store

    config: S3Config = {
        "bucket": settings.bucket,
        "region": settings.region,
        "virtual_hosted_style_request": settings.virtual_hosted,
    }
    if endpoint is not None:
        config["endpoint"] = endpoint
    if settings.access_key_id is not None and settings.secret_access_key is not None:
        config["access_key_id"] = settings.access_key_id
        config["secret_access_key"] = settings.secret_access_key
    client: ClientConfig = {
        "allow_http": True,
        "connect_timeout": timedelta(seconds=CONNECT_TIMEOUT_S),
        "timeout": LONGEST_CALL,
    }
    retries: RetryConfig = {
        "max_retries": RETRIES,
        "retry_timeout": timedelta(seconds=RETRIED_S),
    }
    return S3Store(config=config, client_options=client, retry_config=retries)


async def _page(pages: ListStream[Sequence[ObjectMeta]]) -> Sequence[ObjectMeta] | None:
    return await anext(pages, None)


def _reason(error: Exception) -> str:
    """Return why a call failed, without the URL and what else may be a secret."""
    text = str(error)
    said = [found[1] for found in (STATUS.search(text), CODE.search(text)) if found]
    return f"answers {' '.join(said)}" if said else "cannot be reached"
