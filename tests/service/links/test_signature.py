"""Signatures of links: one form of a query, the documented vector, and what is refused."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl

import pytest

from jobs.errors import AnysrError, InvalidRequest, LinkExpired, LinksDisabled, SignatureInvalid
from service.links.signature import (
    LinkKey,
    canonical,
    link_key_of,
    seconds_left,
    signature,
    signed,
)
from tests.documents.blocks import ROOT

OLD = LinkKey("2026a", b"0123456789abcdef0123456789abcdef")
NEW = LinkKey("2026b", b"fedcba9876543210fedcba9876543210")
WISHES = [("src", "https://example.com/a b+é.png?x=1&y=2"), ("width", "800")]
QUERY = (
    "exp=1800000000&key=2026a&src=https%3A%2F%2Fexample.com%2Fa%20b%2B%C3%A9.png%3Fx%3D1%26y%3D2"
    "&width=800"
)


def pairs_of(query: str) -> list[tuple[str, str]]:
    return parse_qsl(query, keep_blank_values=True)


def test_the_documented_vector() -> None:
    pairs = pairs_of(signed(WISHES, OLD, 1_800_000_000))
    assert canonical(pairs) == QUERY
    assert dict(pairs)["sig"] == signature(OLD.secret, QUERY)
    page = (ROOT / "docs" / "links.md").read_text()
    assert QUERY in page
    assert re.findall(r"sig=([\w-]{43})\n", page) == [signature(OLD.secret, QUERY)]


def test_a_link_of_each_key_is_valid_until_it_expires() -> None:
    for key in (OLD, NEW):
        pairs = pairs_of(signed(WISHES, key, 1000))
        assert seconds_left(pairs, (NEW, OLD), 990.5) == 9.5
        assert seconds_left(pairs[::-1], (NEW, OLD), 990.5) == 9.5
        with pytest.raises(LinkExpired):
            seconds_left(pairs, (NEW, OLD), 1000.0)


def test_without_keys_there_are_no_links() -> None:
    with pytest.raises(LinksDisabled):
        seconds_left(pairs_of(signed(WISHES, OLD, 1000)), (), 0.0)


@pytest.mark.parametrize(
    "change",
    [
        lambda query: query.replace("width=800", "width=801"),
        lambda query: query.replace("example.com", "example.org"),
        lambda query: query.replace("exp=1000", "exp=9000"),
        lambda query: query.replace("key=2026a", "key=2026b"),
        lambda query: query.replace("key=2026a", "key=gone"),
        lambda query: query.replace("key=2026a", ""),
        lambda query: query + "&height=1",
        lambda query: query + "&sig=A",
        lambda query: query + "&sig=%F0%9F%98%80",
        lambda query: re.sub("&sig=.*", "", query),
        lambda query: re.sub("&sig=.*", "&sig=", query),
        lambda query: re.sub("&sig=.*", "&sig=%ED%A0%80", query),
        lambda query: query[:-1],
    ],
)
def test_a_changed_link_is_refused(change: object) -> None:
    assert callable(change)
    pairs = pairs_of(change(signed(WISHES, OLD, 1000)))
    with pytest.raises(SignatureInvalid):
        seconds_left(pairs, (OLD, NEW), 0.0)


@pytest.mark.parametrize(
    ("extra", "error"),
    [([("exp", "9")], InvalidRequest), ([("key", "2026a")], SignatureInvalid)],
)
def test_what_is_given_twice(extra: list[tuple[str, str]], error: type[AnysrError]) -> None:
    """Also if it was signed so."""
    with pytest.raises(error):
        seconds_left(pairs_of(signed([*WISHES, *extra], OLD, 1000)), (OLD,), 0.0)


@pytest.mark.parametrize(
    "text", ["", "a:short", ":" + "s" * 32, "a b:" + "s" * 32, "a:" + "s" * 257, "a:" + "é" * 32]
)
def test_keys_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="must be an id"):
        link_key_of(text)
