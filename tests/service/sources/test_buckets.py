"""The file of ANYSR_BUCKETS, and what callers may name by it."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.errors import BucketNotAllowed, InvalidRequest
from jobs.settings_errors import SettingsError
from service.sources.buckets import LONGEST_KEY, read_buckets, readable, split_address, writable

FILE = """
[photos]
endpoint = "https://s3.example"
region = "eu-central-1"
access_key_id = "id"
secret_access_key_file = "{secret}"
prefix = "in/"

[closed]
endpoint = "http://10.0.0.1:8333"
read = false

[out]
endpoint = "http://10.0.0.1:8333"
prefix = "out/"
read = false
write = true
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text("the secret\n")
    path = tmp_path / "buckets.toml"
    path.write_text(FILE.format(secret=tmp_path / "secret"))
    return path


def test_a_file_is_read_with_the_secrets_it_names(path: Path) -> None:
    buckets = read_buckets(path)
    assert list(buckets) == ["photos", "closed", "out"]
    assert buckets["photos"].secret == "the secret"
    assert buckets["closed"].secret is None
    assert "secret" not in repr(buckets["photos"]).replace("secret_access_key", "").replace(
        "/secret", ""
    )
    assert read_buckets(None) == {}


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("[a", "cannot be read"),
        ("a = 1", "ANYSR_BUCKETS"),
        ("[a]", "endpoint"),
        ('[a]\nendpoint = "s3.example"', "endpoint"),
        ('[a]\nendpoint = "https://user@s3.example"', "endpoint"),
        ('[a]\nendpoint = "https://s3.example/path"', "endpoint"),
        ('[a]\nendpoint = "https://s3.example"\nsecret = "hidden"', "secret"),
        ('[a]\nendpoint = "https://s3.example"\nsecret_access_key = "hidden"', "access_key_id"),
        ('[a]\nendpoint = "https://s3.example"\naccess_key_id = "i"', "access_key_id"),
        (
            '[a]\nendpoint = "https://s3.example"\naccess_key_id = "i"\n'
            'secret_access_key_file = "/none"',
            "cannot be read",
        ),
    ],
)
def test_a_wrong_file_is_an_error_that_shows_no_secret(
    tmp_path: Path, text: str, part: str
) -> None:
    path = tmp_path / "buckets.toml"
    path.write_text(text)
    with pytest.raises(SettingsError, match="ANYSR_BUCKETS") as error:
        read_buckets(path)
    assert part in str(error.value)
    assert "hidden" not in str(error.value)


def test_a_file_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        read_buckets(tmp_path / "none.toml")


def test_what_the_file_opens_is_readable(path: Path) -> None:
    buckets = read_buckets(path)
    assert readable(buckets, "photos", "in/a.png") is buckets["photos"]
    for name, key in (("photos", "out/a.png"), ("photos", "in"), ("closed", "a"), ("none", "a")):
        with pytest.raises(BucketNotAllowed):
            readable(buckets, name, key)


def test_what_the_file_opens_is_writable(path: Path) -> None:
    buckets = read_buckets(path)
    assert writable(buckets, "out", "out/a.png") is buckets["out"]
    places = (("out", "in/a.png"), ("photos", "in/a.png"), ("closed", "a"), ("none", "a"))
    for name, key in places:
        with pytest.raises(BucketNotAllowed):
            writable(buckets, name, key)
    with pytest.raises(BucketNotAllowed):
        readable(buckets, "out", "out/a.png")


def test_addresses_are_split() -> None:
    assert split_address("s3://b/k") == ("b", "k")
    assert split_address("s3://b/a b/ü?c#d%41") == ("b", "a b/ü?c#d%41")
    longest = "k" * LONGEST_KEY
    assert split_address(f"s3://b/{longest}") == ("b", longest)


@pytest.mark.parametrize(
    "address",
    [
        *("s3://", "s3://b", "s3://b/", "s3:///k", "s3://b//k", "s3://b/k/", "s3://b/../c/k"),
        *("s3://b/a/./k", "s3://b/a/..", "s3://b/a\nb", "s3://b/a\x00", f"s3://b/{'ü' * 513}"),
        "s3://b/\ud800",
    ],
)
def test_addresses_that_stores_could_read_differently_are_refused(address: str) -> None:
    with pytest.raises(InvalidRequest):
        split_address(address)
