"""Which hosts ANYSR_SOURCES names."""

from __future__ import annotations

import httpx
import pytest

from jobs.errors import SourceNotAllowed
from service.sources.hosts import AllowedHosts, read_pattern

PATTERNS = ("example.com", "*.cdn.example", "Bücher.example", "127.0.0.1", "[::1]")


@pytest.mark.parametrize(
    "host",
    [
        *("example.com", "EXAMPLE.com", "example.com.", "a.cdn.example", "a.b.cdn.example"),
        *("bücher.example", "xn--bcher-kva.example", "127.0.0.1", "[::1]"),
    ],
)
def test_named_hosts_are_allowed(host):
    AllowedHosts(PATTERNS).check(httpx.URL(f"http://{host}/a"))


@pytest.mark.parametrize(
    "host",
    [
        *("cdn.example", "acdn.example", "example.com.evil.example", "notexample.com", "com"),
        *("www.example.com", "127.0.0.2", "[::2]", "xn--bcher-kva.example.evil"),
    ],
)
def test_others_are_not(host):
    allowed = AllowedHosts(PATTERNS)
    with pytest.raises(SourceNotAllowed):
        allowed.check(httpx.URL(f"http://{host}/example.com"))


def test_a_star_names_all_and_nothing_names_none():
    AllowedHosts(["*"]).check(httpx.URL("http://any.example/"))
    with pytest.raises(SourceNotAllowed, match="ANYSR_SOURCES"):
        AllowedHosts([]).check_on()


@pytest.mark.parametrize(
    "text",
    [
        *("", "*.", "a.*.example", "*example.com", "http://example.com", "example.com/a"),
        *("example.com:80", "a b", "user@example.com", "2130706433", "example.com?x", "**", "a,b"),
    ],
)
def test_what_is_no_host_is_refused(text):
    with pytest.raises(ValueError, match="must be hosts"):
        read_pattern(text)
