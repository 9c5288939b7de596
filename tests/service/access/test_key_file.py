"""Files of keys: what is read, and the one sentence for what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.settings_errors import SettingsError
from service.access.authentication import client_with
from service.access.key_file import MOST_BYTES, KeyFileError, parse_key_file, read_key_file
from service.access.keys import KeyRing
from service.access.tokens import Token, digest_of, new_token, parsed_token
from service.settings import GatewaySettings

KEY = Token("k3J9dQ2x", "q7" * 21 + "Z")
ENTRY = f'[[clients.shop.keys]]\nid = "{KEY.id}"\nsha256 = "{digest_of(KEY.secret).hex()}"\n'


def ring_of(text: str) -> KeyRing:
    return parse_key_file(text.encode(), "keys.toml").ring()


def test_a_client_with_all_limits() -> None:
    ring = ring_of(
        "[clients.shop]\nrequests_per_second = 2.5\npixels_per_day = 1_000_000\n"
        f'jobs_waiting = 3\nmax_budget_ms = 5000\nmodels = ["anysr-s"]\n{ENTRY}'
    )
    client = client_with(str(KEY), ring)
    assert client is not None
    limits = client.limits
    assert (client.name, limits.requests_per_second, limits.burst) == ("shop", 2.5, 5)
    assert (limits.pixels_per_day, limits.jobs_waiting) == (1_000_000, 3)
    assert (client.max_budget_ms, client.models) == (5000.0, frozenset({"anysr-s"}))
    assert limits.counted


def test_a_client_without_limits() -> None:
    client = client_with(str(KEY), ring_of(ENTRY))
    assert client is not None
    assert not client.limits.counted
    assert client.largest_budget_ms(7.0) == 7.0
    client.check_model("any")


@pytest.mark.parametrize(
    "token",
    [
        *("", "x", "anysr_", KEY.secret, str(KEY)[:-1], f"{KEY}0", f" {KEY}", f"{KEY}\n"),
        f"anysr_{KEY.id}_{'q8' * 21}Z",
        f"anysr_k3J9dQ2y_{KEY.secret}",
        f"anysr_{KEY.id}_{'é' * 43}",
        f"ANYSR_{KEY.id}_{KEY.secret}",
    ],
)
def test_no_other_token_is_the_key(token: str) -> None:
    assert client_with(token, ring_of(ENTRY)) is None


@given(st.text(max_size=80))
def test_any_text_is_a_token_or_none(text: str) -> None:
    parsed = parsed_token(text)
    assert parsed is None or str(parsed) == text


def test_new_tokens_are_well_formed_and_differ() -> None:
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(parsed_token(str(token)) == token for token in tokens)
    assert digest_of("a" * 43) != digest_of("b" * 43)
    assert isinstance(new_token(), Token)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("clients = 3", "clients:"),
        ("[clients.shop", "is no TOML file"),
        ("[client.shop]\n", "client: Extra inputs are not permitted"),
        ("[clients.shop]\nrate = 3\n", "clients.shop.rate:"),
        ("[clients.shop]\nrequests_per_second = 0\n", "clients.shop.requests_per_second:"),
        ("[clients.shop]\nrequests_per_second = nan\n", "clients.shop.requests_per_second:"),
        ("[clients.shop]\nrequests_per_second = 1e-300\n", "within a day"),
        ("[clients.shop]\nrequests_per_second = 1\nburst = 86_401\n", "within a day"),
        ("[clients.shop]\nburst = 3\n", "burst needs requests_per_second"),
        ("[clients.shop]\npixels_per_day = -1\n", "clients.shop.pixels_per_day:"),
        ('[clients.shop]\npixels_per_day = "5"\n', "clients.shop.pixels_per_day:"),
        ("[clients.shop]\npixels_per_day = 1e6\n", "clients.shop.pixels_per_day:"),
        ("[clients.shop]\njobs_waiting = 0\n", "clients.shop.jobs_waiting:"),
        ('[clients."a b"]\n', "clients.a b"),
        ('[[clients.shop.keys]]\nid = "short"\nsha256 = ""\n', "clients.shop.keys.0.id:"),
        (f'[[clients.shop.keys]]\nid = "{KEY.id}"\nsha256 = "{KEY.secret}"\n', "sha256:"),
        (ENTRY + ENTRY.replace("shop", "other"), f"the id {KEY.id} is used twice"),
        ("x = " + "[" * 100_000, "is no TOML file"),
    ],
)
def test_a_wrong_file_is_one_sentence(text: str, words: str) -> None:
    with pytest.raises(KeyFileError) as raised:
        ring_of(text)
    sentence = str(raised.value)
    assert sentence.startswith("ANYSR_KEYS: keys.toml")
    assert words in sentence
    assert sentence.count("\n") == 0
    assert KEY.secret not in sentence


def test_what_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    large, binary = tmp_path / "large", tmp_path / "binary"
    large.write_bytes(b"#" * (MOST_BYTES + 1))
    binary.write_bytes(b"\xff\xfe")
    for path, words in (
        (tmp_path / "none", "No such file"),
        (tmp_path, "directory"),
        (large, f"more than {MOST_BYTES} bytes"),
        (binary, "is no TOML file"),
    ):
        with pytest.raises(KeyFileError, match=words):
            read_key_file(path)
    assert issubclass(KeyFileError, SettingsError)


def test_the_setting_is_a_path_and_never_the_text_of_a_file() -> None:
    assert GatewaySettings.model_validate({"keys": ""}).keys is None
    assert GatewaySettings.model_validate({"keys": "/a/keys.toml"}).keys == Path("/a/keys.toml")
    with pytest.raises(ValueError, match="must be the path of a file") as raised:
        GatewaySettings.model_validate({"keys": ENTRY})
    assert KEY.id not in str(raised.value)
