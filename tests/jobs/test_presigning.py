"""Signed URLs, against the example in Amazon's description of the signature."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

from jobs.presigning import Key, presigned

KEY = Key("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1")
NOW = datetime(2013, 5, 24, tzinfo=UTC)
URL = "https://examplebucket.s3.amazonaws.com/test.txt"


def signature_of(url: str) -> str:
    (signature,) = parse_qs(urlsplit(url).query)["X-Amz-Signature"]
    return signature


def test_the_example_of_the_description() -> None:
    url = presigned("GET", URL, {}, KEY, 86_400, NOW)
    assert url.startswith(f"{URL}?X-Amz-Algorithm=AWS4-HMAC-SHA256&")
    assert signature_of(url) == "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"


def test_every_part_of_a_request_is_signed() -> None:
    sized = {"Content-Length": "5", "Content-Type": "image/png"}
    urls = [
        presigned("PUT", URL, sized, KEY, 60, NOW),
        presigned("GET", URL, sized, KEY, 60, NOW),
        presigned("PUT", URL + "2", sized, KEY, 60, NOW),
        presigned("PUT", URL, {**sized, "Content-Length": "6"}, KEY, 60, NOW),
        presigned("PUT", URL, {"Content-Length": "5"}, KEY, 60, NOW),
        presigned("PUT", URL, sized, KEY, 61, NOW),
        presigned("PUT", URL, sized, KEY, 60, NOW.replace(hour=1)),
        presigned("PUT", URL, sized, Key(KEY.id, "other", KEY.region), 60, NOW),
    ]
    assert len({signature_of(url) for url in urls}) == len(urls)
    (names,) = parse_qs(urlsplit(urls[0]).query)["X-Amz-SignedHeaders"]
    assert names == "content-length;content-type;host"
