"""`anysr link`: a link that the gateway accepts, and what it refuses to sign."""

from __future__ import annotations

import time
from urllib.parse import parse_qsl, urlsplit

import pytest
from typer.testing import CliRunner

from cli.main import app
from service.links.signature import link_key_of, seconds_left

KEYS = ("2026b:fedcba9876543210fedcba9876543210", "2026a:0123456789abcdef0123456789abcdef")
SOURCE = "https://example.com/a b.png?x=1&y=2"


@pytest.fixture(autouse=True)
def link_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two keys, in the environment."""
    monkeypatch.setenv("ANYSR_LINK_KEYS", ",".join(KEYS))


def test_the_first_key_signs_what_was_asked_for() -> None:
    wishes = ("--width", "800", "--format", "webp", "--valid-seconds", "100")
    done = CliRunner().invoke(app, ["link", SOURCE, *wishes, "--server", "https://a.example/"])
    assert done.exit_code == 0, done.output
    url = urlsplit(done.output.strip())
    assert (url.scheme, url.netloc, url.path) == ("https", "a.example", "/image")
    pairs = parse_qsl(url.query)
    named = dict(pairs)
    assert (named["src"], named["width"], named["format"]) == (SOURCE, "800", "webp")
    assert named["key"] == "2026b"
    assert 0 < seconds_left(pairs, [link_key_of(KEYS[0])], time.time()) <= 100


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--width", "800", "--scale", "2"], "exactly one of scale"),
        ([], "exactly one of scale"),
        (["--scale", "2", "--format", "bmp"], "format must be"),
    ],
)
def test_wrong_wishes_are_not_signed(options: list[str], told: str) -> None:
    done = CliRunner().invoke(app, ["link", SOURCE, *options])
    assert done.exit_code == 2
    assert told in done.output
    assert "sig=" not in done.output


def test_without_a_key_nothing_is_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANYSR_LINK_KEYS")
    done = CliRunner().invoke(app, ["link", SOURCE, "--scale", "2"])
    assert done.exit_code == 2
    assert "ANYSR_LINK_KEYS is not set" in done.output
