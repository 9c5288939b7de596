"""Clients that generators make of the service's OpenAPI description, against a running gateway.

`make types-js` fetches the generator of the TypeScript client; its test never fetches.
"""

from __future__ import annotations

import asyncio
import importlib
import io
import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from PIL import Image

from tests.service.harness import RunningGateway, drawn
from tests.support.waiting import eventually

SOURCE = Path(__file__).parent / "clients" / "client.ts"
PACKAGE = "generated_client"
NODE_MODULES = Path(os.environ.get("ANYSR_TS_CLIENTS", str(Path(sys.prefix) / "clients")))
NODE_MODULES = NODE_MODULES / "node_modules"
NODE = shutil.which("node")
COMPILER_OPTIONS = (
    *("--strict", "--skipLibCheck", "--target", "es2022"),
    *("--module", "esnext", "--moduleResolution", "bundler"),
)


async def ran(*command: str | Path, cwd: Path) -> str:
    """Run a command, and return its output; fail with it if the command fails."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    process = await asyncio.create_subprocess_exec(
        *map(str, command),
        cwd=cwd,
        env={**os.environ, "PATH": path},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


async def description(served: RunningGateway, folder: Path) -> Path:
    path = folder / "openapi.json"
    path.write_text((await served.client.get("/openapi.json")).text)
    return path


def size_of(picture: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(picture)) as image:
        return image.size


@pytest.fixture
def importing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Import a module of the generated package."""

    def module(name: str) -> ModuleType:
        return importlib.import_module(f"{PACKAGE}.{name}")

    monkeypatch.syspath_prepend(tmp_path)
    yield module
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        del sys.modules[name]


async def test_the_client_of_openapi_python_client(
    served: RunningGateway, tmp_path: Path, importing: Any
) -> None:
    schema = await description(served, tmp_path)
    generator = (sys.executable, "-m", "openapi_python_client", "generate")
    await ran(
        *generator, "--path", schema, "--output-path", PACKAGE, "--meta", "none", cwd=tmp_path
    )
    types, models = importing("types"), importing("models")
    async with importing("client").Client(base_url=str(served.client.base_url)) as client:
        await _calls(client, types, models, importing)


async def _calls(client: Any, types: Any, models: Any, importing: Any) -> None:
    """Upscale a picture in a form and alone, read a refusal, and follow a job to its picture."""

    def body() -> Any:
        file = types.File(payload=io.BytesIO(drawn()), file_name="a.png", mime_type="image/png")
        return models.PictureForm(image=file)

    upscale = importing("api.upscale.upscale")
    answer = await upscale.asyncio_detailed(client=client, body=body(), scale=2.5)
    assert (answer.status_code, size_of(answer.content)) == (200, (50, 30))
    raw = types.File(payload=drawn())
    answer = await upscale.asyncio_detailed(client=client, body=raw, width=40)
    assert (answer.status_code, size_of(answer.content)) == (200, (40, 24))

    refused = await upscale.asyncio(client=client, body=body())
    assert isinstance(refused, models.Problem)
    assert refused.code == "invalid_request"

    submitted = await importing("api.jobs.submit_job").asyncio(client=client, body=body(), scale=2)
    assert isinstance(submitted, models.JobAnswer)
    show = importing("api.jobs.show_job")

    async def is_done() -> bool:
        seen = await show.asyncio(client=client, job_id=submitted.id)
        return bool(seen.status == models.JobStatus.SUCCEEDED)

    await eventually(is_done, "the job succeeds")
    fetched = await importing("api.jobs.fetch_result").asyncio_detailed(
        client=client, job_id=submitted.id
    )
    assert size_of(fetched.content) == (40, 24)
    missing = await show.asyncio(client=client, job_id="none")
    assert isinstance(missing, models.Problem)
    assert missing.status == 404


@pytest.mark.skipif(
    NODE is None or not (NODE_MODULES / "openapi-typescript").is_dir(),
    reason="no openapi-typescript: run `make types-js`, or name its folder in ANYSR_TS_CLIENTS",
)
async def test_the_types_of_openapi_typescript(served: RunningGateway, tmp_path: Path) -> None:
    schema = await description(served, tmp_path)
    (tmp_path / "node_modules").symlink_to(NODE_MODULES)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "photo.png").write_bytes(drawn())
    shutil.copy(SOURCE, tmp_path)
    tools = NODE_MODULES / ".bin"
    await ran(tools / "openapi-typescript", schema, "--output", "schema.d.ts", cwd=tmp_path)
    await ran(tools / "tsc", *COMPILER_OPTIONS, "client.ts", cwd=tmp_path)
    output = await ran(
        str(NODE), "client.js", str(served.client.base_url), "photo.png", cwd=tmp_path
    )
    answer = json.loads(output)
    assert answer.pop("bytes") > 50
    assert answer == {"status": "succeeded", "width": 50, "code": "invalid_request"}
