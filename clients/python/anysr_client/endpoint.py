"""Where the service is, and how each request is authorised, bounded and read, in both drivers."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import httpx

from anysr_client.calls import Call
from anysr_client.deadline import Deadline
from anysr_client.errors import AnysrError, ConnectionFailed, DeadlineExceeded
from anysr_client.version import VERSION

SERVER_VARIABLE = "ANYSR_SERVER"
KEY_VARIABLE = "ANYSR_KEY"
LOCAL = "http://127.0.0.1:8000"
CONNECT_S = 10.0
WRITE_S = 60.0
"""Longest time without progress of an upload."""
TOKEN = re.compile(r"[\x21-\x7e]+")
NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
)


@dataclass(frozen=True)
class Endpoint:
    """A service, and the caller's key for it."""

    address: str
    key: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, server: str | None, key: str | None) -> Endpoint:
        """Return the endpoint of arguments; the environment stands in for those that are None.

        Raises ValueError for an address that is none, and for a key that no header can hold.
        """
        address = server or os.environ.get(SERVER_VARIABLE) or LOCAL
        try:
            url = httpx.URL(address)
        except httpx.InvalidURL as error:
            raise ValueError(f"{address} is no address: {error}") from error
        if url.scheme not in ("http", "https") or not url.host:
            raise ValueError(f"the address must be one such as {LOCAL}, got {address}")
        key = key or os.environ.get(KEY_VARIABLE, "").strip() or None
        if key is not None and not TOKEN.fullmatch(key):
            raise ValueError("the key has a character that no key has")
        return cls(address, key)

    @property
    def headers(self) -> dict[str, str]:
        """Headers of every request."""
        named = {"User-Agent": f"anysr-client/{VERSION}"}
        return named if self.key is None else named | {"Authorization": f"Bearer {self.key}"}


def check_key(request: httpx.Request, call: Call) -> None:
    """Take the key out of a request to a store."""
    if call.elsewhere:
        request.headers.pop("Authorization", None)


def headers_of(response: httpx.Response) -> Mapping[str, str]:
    """Return the headers of an answer. Where the service leads elsewhere to a picture, they are its
    own, with the content type of what is there."""
    if not response.history or not response.is_success:
        return response.headers
    kind = {"Content-Type": response.headers.get("Content-Type", "")}
    return httpx.Headers([*response.history[0].headers.items(), *kind.items()])


def timeout_of(deadline: Deadline | None, quiet_s: float | None = None) -> httpx.Timeout:
    """Return the bounds of a request; `quiet_s` is that of a read. Raises DeadlineExceeded."""
    check(deadline)
    left_s = None if deadline is None else max(deadline.left_s(), 1e-3)

    def bound(seconds: float | None) -> float | None:
        bounds = [one for one in (seconds, left_s) if one is not None]
        return min(bounds) if bounds else None

    return httpx.Timeout(
        connect=bound(CONNECT_S), write=bound(WRITE_S), read=bound(quiet_s), pool=bound(None)
    )


def check(deadline: Deadline | None) -> None:
    """Raise DeadlineExceeded once a deadline has passed."""
    if deadline is not None and deadline.left_s() <= 0.0:
        raise DeadlineExceeded("the deadline has passed")


@contextlib.contextmanager
def failures(deadline: Deadline | None) -> Iterator[None]:
    """Raise the failures of a connection as errors of this package."""
    try:
        yield
    except httpx.RequestError as error:
        raise _failure(error, deadline) from error


def _failure(error: httpx.RequestError, deadline: Deadline | None) -> AnysrError:
    if isinstance(error, httpx.TimeoutException) and deadline is not None:
        try:
            check(deadline)
        except DeadlineExceeded as exceeded:
            return exceeded
    what = str(error) or type(error).__name__
    if isinstance(error, NEVER_SENT):
        return ConnectionFailed(f"the service cannot be reached: {what}", reached=False)
    return ConnectionFailed(f"the connection to the service broke: {what}")
