"""URLs are read as every parser reads them, or refused."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.errors import AddressRefused
from service.outbound.urls import LONGEST_URL, literal_address, parse_url

READ = {
    "http://example.com": "http://example.com",
    "https://example.com/a?b=c#d": "https://example.com/a?b=c",
    "HTTPS://EXAMPLE.com/A": "https://example.com/A",
    "https://example.com:443/": "https://example.com/",
    "http://example.com:80/": "http://example.com/",
    "http://example.com:8080/": "http://example.com:8080/",
    "http://example.com./": "http://example.com./",
    "http://münchen.example/": "http://xn--mnchen-3ya.example/",
    "http://xn--mnchen-3ya.example/": "http://xn--mnchen-3ya.example/",
    "http://127.0.0.1/": "http://127.0.0.1/",
    "http://127。0。0。1/": "http://127.0.0.1/",
    "http://[::1]/": "http://[::1]/",
    "http://[::ffff:127.0.0.1]/": "http://[::ffff:127.0.0.1]/",
    "http://my_bucket.s3-eu.example/a@b": "http://my_bucket.s3-eu.example/a@b",
    "http://example.com?u=a@b": "http://example.com?u=a@b",
}
"""Texts and the URLs that are made of them; the addresses are judged when they are resolved."""

REFUSED = (
    *(
        "",
        "example.com",
        "//example.com/",
        "http:example.com",
        "http:///x",
        "http://",
        "http://:80/",
    ),
    *(
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "data:,x",
        "javascript:1",
    ),
    *("http://user@example.com/", "http://user:pass@example.com/", "http://@example.com/"),
    *("http://:@example.com/", "http://example.com@127.0.0.1/", "http://example.com\\@127.0.0.1/"),
    *("http://exämple.com@127.0.0.1/", "http://a:b@[::1]/"),
    *("http://2130706433/", "http://017700000001/", "http://0x7f000001/", "http://0X7F000001/"),
    *("http://127.1/", "http://127.0.1/", "http://0177.0.0.1/", "http://0x7f.0.0.1/"),
    *("http://127.0.0.01/", "http://127.0.0.1./", "http://127.0.0.0x1/", "http://1.2.3.4.5/"),
    *(
        "http://256.256.256.256/",
        "http://foo.0x7f/",
        "http://example.1/",
        "http://0/",
        "http://0x/",
    ),
    *("http://①②⑦.⓪.⓪.①/", "http://ⓔxample.com/", "http://127%2e0.0.1/", "http://127.0.0.%31/"),
    *("http://[::1%25lo]/", "http://[fe80::1%25eth0]/", "http://[fe80::1%eth0]/", "http://[::g]/"),
    *("http://[::1].example.com/", "http://[127.0.0.1]/", "http://[v1.x]/", "http://[::1/"),
    *(
        "http://exa mple.com/",
        "http://example.com/a b",
        "http://example.com/\r\nX: y",
        "http://a\tb/",
    ),
    *(" http://example.com/", "http://example.com\x00.evil.example/", "http://a..b/", "http://.a/"),
    *("http://-a.example/", "http://a-.example/", "http://xn--/", "http://a,b/", "http://*.a.b/"),
    *("http://example.com:22/", "http://example.com:0/", "http://example.com:6379/"),
    *("http://example.com:99999/", "http://example.com:-1/", "http://example.com:8o/"),
    *("https://example.com:80/", "http://example.com:443/"),
    f"http://{'a' * 64}.example/",
    f"http://{'a.' * 127}example/",
    f"http://example.com/{'a' * LONGEST_URL}",
)


@pytest.mark.parametrize(("text", "url"), READ.items())
def test_usual_urls_are_read(text, url):
    assert str(parse_url(text, ports={8080})) == url


@pytest.mark.parametrize("text", REFUSED)
def test_odd_urls_are_refused(text):
    with pytest.raises(AddressRefused):
        parse_url(text, ports={8080})


def test_a_scheme_can_be_demanded():
    assert str(parse_url("https://a.example/", schemes=("https",))) == "https://a.example/"
    with pytest.raises(AddressRefused, match="https://"):
        parse_url("http://a.example/", schemes=("https",))


PIECES = "http https : / // @ # ? [ ] ::1 % %25 %2e . 。 127 0x7f 1 0 a example ü xn-- - _ :80 \\"
PARTS = st.sampled_from([*PIECES.split(), " ", "\t"])


@given(st.text() | st.lists(PARTS, max_size=14).map(lambda parts: "http://" + "".join(parts)))
def test_any_text_is_refused_or_has_the_host_that_another_parser_sees(text):
    try:
        url = parse_url(text)
    except AddressRefused:
        return
    seen = urlsplit(str(url))
    host = url.raw_host.decode("ascii")
    assert seen.hostname == host
    assert seen.username is None
    assert seen.password is None
    if literal_address(host) is None:
        assert re.fullmatch(r"[a-z0-9_.-]+", host)
        assert not re.search(r"(^|\.)(0x[0-9a-f]*|[0-9]+)\.?$", host)
