"""Every request in the documents has a route; requests to this machine are sent."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from PIL import Image

from tests.documents.blocks import DOCUMENTS, Block, Command, blocks, shell_commands, spans

LOCAL = "http://127.0.0.1:8000"
RUN = [
    block
    for block in blocks("sh")
    if LOCAL in block.text and all(command[0] in ("curl", "grep") for command in block.commands())
]


@pytest.fixture(scope="module")
def paths(service_url: str) -> dict[str, Any]:
    """The paths of the gateway's OpenAPI document."""
    described: dict[str, Any] = httpx.get(f"{service_url}/openapi.json").json()["paths"]
    return described


def asked(command: Command) -> tuple[str, str]:
    """Method and path of a call of curl."""
    method = "POST" if {"-F", "-d", "--data-binary"} & set(command) else "GET"
    if "-X" in command:
        method = command[command.index("-X") + 1]
    [url] = [word for word in command[1:] if re.match(r"https?://|/\w", word)]
    return method.lower(), urlsplit(url).path


def has_route(paths: dict[str, Any], method: str, path: str) -> bool:
    """Whether a path, with any value for what stands in braces, has a method."""
    return any(
        method in methods and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", route), path)
        for route, methods in paths.items()
    )


def test_every_call_of_curl_has_a_route(paths: dict[str, Any]) -> None:
    calls = {asked(command) for command in [*shell_commands("curl"), *spans("curl")] if command[2:]}
    calls |= {asked(command) for command in spans("curl") if command[1].startswith("/")}
    assert {("post", "/upscale"), ("post", "/admin/reload")} <= calls
    assert [call for call in sorted(calls) if not has_route(paths, *call)] == []
    assert not has_route(paths, "post", "/upscaled")


def test_every_route_in_the_prose_exists(paths: dict[str, Any]) -> None:
    text = "".join(path.read_text() for path in DOCUMENTS)
    named = set(re.findall(r"`(GET|POST|DELETE|PUT) (/[\w{}/-]*)`", text))
    assert len(named) > 8
    served = {("GET", "/"), ("GET", "/metrics")}  # pages, which OpenAPI does not list
    missing = [(m, p) for m, p in named - served if not has_route(paths, m.lower(), p)]
    assert sorted(missing) == []


@pytest.mark.parametrize("block", RUN, ids=str)
def test_a_block_of_requests_succeeds(block: Block, service_url: str, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    Image.linear_gradient("L").resize((40, 30)).convert("RGB").save(tmp_path / "photo.png")
    headers = tmp_path / "headers.txt"
    done = subprocess.run(
        ["sh", "-e", "-c", block.text.replace(LOCAL, service_url)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for path in tmp_path.glob("*.png"):
        with Image.open(path) as image:
            assert image.width >= 40
    if headers.exists():
        assert headers.read_text().startswith("HTTP/1.1 200")


def test_blocks_of_requests_are_found() -> None:
    assert len(RUN) >= 5
