"""`anysr keys`: the key is printed once, the file is edited whole, and faults are sentences."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.key_edits import add_key
from cli.main import app
from service.access.authentication import client_with
from service.access.key_file import read_key_file
from service.access.tokens import parsed_token

Run = Callable[..., Result]


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """The path of a file that does not exist yet."""
    return tmp_path / "keys.toml"


@pytest.fixture
def run(key_file: Path) -> Run:
    """Run `anysr keys` with ANYSR_KEYS set."""

    def run_with(*arguments: str) -> Result:
        environment = {"ANYSR_KEYS": str(key_file)}
        return CliRunner().invoke(app, ["keys", *arguments], env=environment)

    return run_with


def test_a_key_is_printed_once_and_only_its_hash_is_kept(run: Run, key_file: Path) -> None:
    made = run("create", "shop", "--requests-per-second", "5", "--model", "a", "--model", "b")
    assert made.exit_code == 0, made.output
    token = made.stdout.strip()
    assert parsed_token(token) is not None
    assert token not in made.stderr
    assert token.rpartition("_")[2] not in key_file.read_text()
    client = client_with(token, read_key_file(key_file).ring())
    assert client is not None
    assert (client.name, client.limits.requests_per_second) == ("shop", 5)
    assert client.models == frozenset({"a", "b"})

    listed = run("list")
    assert listed.exit_code == 0
    assert token.split("_")[1] in listed.stdout
    assert "requests_per_second 5, models a b" in listed.stdout
    assert token.rpartition("_")[2] not in listed.output


def test_a_second_key_shares_the_limits_and_changes_those_given(run: Run, key_file: Path) -> None:
    tokens = [
        run("create", "shop", "--pixels-per-day", "1000", "--jobs-waiting", "3").stdout.strip(),
        run("create", "shop", "--jobs-waiting", "4").stdout.strip(),
    ]
    ring = read_key_file(key_file).ring()
    clients = [client_with(token, ring) for token in tokens]
    assert clients[0] is not None
    assert clients[0] == clients[1]
    assert (clients[0].limits.pixels_per_day, clients[0].limits.jobs_waiting) == (1000, 4)


def test_share_is_the_weight_of_a_client_and_stays_until_it_is_set_again(
    run: Run, key_file: Path
) -> None:
    token = run("create", "shop", "--share", "3").stdout.strip()
    for arguments, share in (((), 3), (("--share", "5"), 5)):
        assert run("create", "shop", *arguments).exit_code == 0
        client = client_with(token, read_key_file(key_file).ring())
        assert client is not None
        assert client.share == share
    assert "share 5" in run("list").stdout


@pytest.mark.parametrize("share", ["0", "1001", "-1", "0.5"])
def test_share_out_of_range_changes_nothing(run: Run, key_file: Path, share: str) -> None:
    made = run("create", "shop", "--share", share)
    assert made.exit_code == 2, made.output
    assert not key_file.exists()


def test_revoking_takes_one_key_and_leaves_the_client(run: Run, key_file: Path) -> None:
    first, second = (run("create", "a.b").stdout.strip() for _ in range(2))
    assert run("revoke", first.split("_")[1]).exit_code == 0
    ring = read_key_file(key_file).ring()
    assert client_with(first, ring) is None
    assert client_with(second, ring) is not None
    run("create", "a.b", "--jobs-waiting", "1")
    for key_id in list(read_key_file(key_file).ring().keys):
        assert run("revoke", key_id).exit_code == 0
    entry = read_key_file(key_file).clients["a.b"]
    assert (entry.keys, entry.jobs_waiting) == ([], 1)
    assert "a.b" in run("list").stdout


def test_comments_mode_and_link_stay(run: Run, key_file: Path, tmp_path: Path) -> None:
    real = tmp_path / "real.toml"
    real.write_text("# Ask Ada before you change this.\n[clients.shop]\njobs_waiting = 3 # few\n")
    real.chmod(0o640)
    key_file.symlink_to(real)
    token = run("create", "shop").stdout.strip()
    assert key_file.is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert real.read_text().startswith("# Ask Ada before you change this.\n")
    assert "jobs_waiting = 3 # few\n" in real.read_text()
    assert client_with(token, read_key_file(real).ring()) is not None


def test_edits_at_once_lose_no_key(key_file: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        tokens = list(pool.map(lambda n: add_key(key_file, f"client-{n % 3}", {}), range(24)))
    assert read_key_file(key_file).ring().keys.keys() == {token.id for token in tokens}
    assert os.listdir(key_file.parent) == [key_file.name]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("create", "a b"), "must be 1 to 64 letters"),
        (("create", "shop", "--burst", "0"), "clients.shop.burst"),
        (("create", "shop", "--burst", "3"), "burst needs requests_per_second"),
        (("create", "shop", "--requests-per-second", "nan"), "requests_per_second"),
        (("create", "shop", "--pixels-per-day", "-1"), "pixels_per_day"),
        (("revoke", "00000000"), "There is no key 00000000"),
    ],
)
def test_what_is_wrong_is_a_sentence_and_changes_nothing(
    run: Run, key_file: Path, arguments: tuple[str, ...], words: str
) -> None:
    run("create", "other")
    before = key_file.read_bytes()
    result = run(*arguments)
    assert result.exit_code == 2
    assert words in " ".join(result.stderr.split())
    assert "Traceback" not in result.output
    assert key_file.read_bytes() == before


def test_a_damaged_file_is_left_alone(run: Run, key_file: Path) -> None:
    key_file.write_text("[clients.shop")
    for arguments in (("create", "shop"), ("list",), ("revoke", "00000000")):
        result = run(*arguments)
        assert result.exit_code == 2
        assert "is no TOML file" in result.stderr
    assert key_file.read_text() == "[clients.shop"


def test_without_a_file_the_command_says_how_to_name_one() -> None:
    result = CliRunner().invoke(app, ["keys", "list"], env={"ANYSR_KEYS": ""})
    assert result.exit_code == 2
    assert "--file" in result.stderr


@pytest.mark.parametrize("command", ["serve --port 0", "gateway"])
def test_a_service_ends_with_one_sentence_at_a_missing_file(
    command: str, key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANYSR_KEYS", str(key_file))
    monkeypatch.setenv("ANYSR_REDIS_URL", "redis://127.0.0.1:9/0")
    result = CliRunner().invoke(app, command.split())
    sentence = f"ANYSR_KEYS: {key_file} cannot be read: No such file or directory.\n"
    assert (result.exit_code, result.output) == (2, sentence)
