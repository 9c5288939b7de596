"""The module of JavaScript, by node, and its types, by TypeScript.

`make types-js` fetches the compiler; these tests never fetch.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.service.test_page_types import TSC, tsc
from tests.support.pictures import draw_jpeg

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "clients" / "javascript"
CONFIG = "jsconfig.client.json"
NODE = shutil.which("node")
needs_compiler = pytest.mark.skipif(
    TSC is None, reason="no tsc: run `make types-js`, put one on PATH or name it in ANYSR_TSC"
)


@pytest.mark.skipif(NODE is None, reason="node is not installed")
def test_the_module_calls_the_service(service_url: str, tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(draw_jpeg(40, 30))
    done = subprocess.run(
        [str(NODE), "--test", "tests/clients/anysr.test.mjs"],
        cwd=ROOT,
        env={**os.environ, "ANYSR_SERVER": service_url, "PHOTO": str(photo)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "# pass 12" in done.stdout, done.stdout


@needs_compiler
def test_types_agree() -> None:
    assert tsc(ROOT, CONFIG) == (0, "")


@needs_compiler
def test_a_wrong_type_is_found(tmp_path: Path) -> None:
    for name in ("jsconfig.json", CONFIG):
        shutil.copy(ROOT / name, tmp_path)
    script = tmp_path / "clients" / "javascript" / "anysr.js"
    script.parent.mkdir(parents=True)
    script.write_text((FOLDER / "anysr.js").read_text() + "\nnew Client({ server: 1 });\n")
    status, output = tsc(tmp_path, CONFIG)
    assert status != 0
    assert f"anysr.js({len(script.read_text().splitlines())}," in output


@needs_compiler
def test_the_declarations_are_those_of_the_module(tmp_path: Path) -> None:
    """Written by `tsc --project jsconfig.client.json --declaration --emitDeclarationOnly
    --noEmit false --outDir clients/javascript`."""
    options = ("--declaration", "--emitDeclarationOnly", "--noEmit", "false")
    assert tsc(ROOT, CONFIG, *options, "--outDir", str(tmp_path)) == (0, "")
    assert (tmp_path / "anysr.d.ts").read_text() == (FOLDER / "anysr.d.ts").read_text()
