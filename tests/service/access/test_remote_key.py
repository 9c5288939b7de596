"""`anysr upscale --server` on a service that needs a key."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from anysr_client.endpoint import KEY_VARIABLE as KEY
from cli.upscaling.refusal import Refusal
from cli.upscaling.remote import RemoteUpscaler
from jobs.errors import Unauthorized
from scheduling.request import UpscaleRequest
from tests.service.harness import ScriptedWorker, Start, drawn
from tests.support.key_files import new_key

WANTED = UpscaleRequest(scale=2)


def made(port: int) -> bytes:
    upscaler = RemoteUpscaler(f"http://127.0.0.1:{port}", WANTED)
    try:
        return upscaler.upscale(drawn()).picture
    finally:
        upscaler.close()


async def test_the_key_comes_from_the_environment(
    start: Start, worker: ScriptedWorker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert worker.go.is_set()
    key = new_key(tmp_path / "keys.toml", "shop")["Authorization"].removeprefix("Bearer ")
    async with start(keys=tmp_path / "keys.toml") as served:
        monkeypatch.setenv(KEY, f"{key}\n")
        assert (await asyncio.to_thread(made, served.port)).startswith(b"\x89PNG")
        monkeypatch.delenv(KEY)
        with pytest.raises(Unauthorized, match="needs a key"):
            await asyncio.to_thread(made, served.port)


def test_what_cannot_be_a_key_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY, "schlüssel")
    with pytest.raises(Refusal):
        RemoteUpscaler("http://127.0.0.1:9", WANTED)
