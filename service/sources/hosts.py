"""Hosts that pictures may be fetched from or put to, as settings name them."""

from __future__ import annotations

from collections.abc import Iterable

import httpx

from jobs.errors import AddressRefused, AnysrError, SourceNotAllowed
from service.outbound.urls import check_host

ANY = "*"
BELOW = "*."

OFF = "This service fetches no pictures from URLs; ANYSR_SOURCES would name hosts that it may ask."


def read_pattern(text: str) -> str:
    """Return a pattern in ASCII and lower case: `example.com`, `*.example.com` for all names below
    it, or `*` for all hosts. Raises ValueError."""
    if text == ANY:
        return text
    prefix = BELOW if text.startswith(BELOW) else ""
    try:
        url = httpx.URL(scheme="http", host=text.removeprefix(BELOW))
        host = _plain(url)
        check_host(host)
    except (httpx.InvalidURL, ValueError, AddressRefused):
        raise ValueError(
            f"must be hosts such as example.com or *.example.com: {text} is none"
        ) from None
    return prefix + host


def _plain(url: httpx.URL) -> str:
    return url.raw_host.decode("ascii").lower().removesuffix(".")


class AllowedHosts:
    """The hosts that patterns name. `refusal` is what others raise, with the text `off` where no
    pattern names any."""

    def __init__(
        self,
        patterns: Iterable[str],
        refusal: type[AnysrError] = SourceNotAllowed,
        off: str = OFF,
    ) -> None:
        self._refusal, self._off_text = refusal, off
        known = tuple(read_pattern(pattern) for pattern in patterns)
        self._all = ANY in known
        self._exact = frozenset(known)
        self._suffixes = tuple(p.removeprefix(ANY) for p in known if p.startswith(BELOW))
        self._off = not known

    def check_on(self) -> None:
        """Raise the refusal if no pattern names any host."""
        if self._off:
            raise self._refusal(self._off_text)

    def check(self, url: httpx.URL) -> None:
        """Raise the refusal unless a pattern names the host of a URL."""
        host = _plain(url)
        if not (self._all or host in self._exact or host.endswith(self._suffixes)):
            raise self._refusal()
