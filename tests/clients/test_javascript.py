"""The module of JavaScript, by node, and its types, by TypeScript.

`make types-js` fetches the compiler; these tests never fetch.
"""

from __future__ import annotations

import json
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
TESTS = Path(__file__).with_name("anysr.test.mjs")
NODE = shutil.which("node")
needs_compiler = pytest.mark.skipif(
    TSC is None, reason="no tsc: run `make types-js`, put one on PATH or name it in ANYSR_TSC"
)


@pytest.mark.skipif(NODE is None, reason="node is not installed")
def test_the_module_calls_the_service(service_url: str, tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(draw_jpeg(40, 30))
    status, output = by_node({"ANYSR_SERVER": service_url, "PHOTO": str(photo)})
    assert status == 0, output
    number = TESTS.read_text().count('\ntest("')
    assert number > 10
    assert f"# pass {number}\n" in output, output


def by_node(environment: dict[str, str]) -> tuple[int, str]:
    """Run the tests of the module; return status and output. Fails with the output if node does
    not end."""
    command = [str(NODE), "--test", "--test-reporter=tap", str(TESTS)]
    out, both = subprocess.PIPE, subprocess.STDOUT
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=os.environ | environment,
            stdout=out,
            stderr=both,
            timeout=600,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        pytest.fail(f"node does not end:\n{(error.stdout or b'').decode(errors='replace')}")
    return done.returncode, done.stdout.decode(errors="replace")


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


CONSUMER = """
import { Busy, Client, type JobState, type Upscaled } from "anysr-client";

const client = new Client({ server: "http://host:8000", retries: { attempts: 2 } });
const made: Upscaled = await client.upscale(new Blob(), { scale: 2, format: "webp" });
const size: number = made.picture.size;
const { signal } = new AbortController();
const job = await client.submit(new Uint8Array(4), { width: 40, signal });
for await (const state of job.events({ deadlineMs: size })) {
  const status: JobState["status"] = state.status;
  if (status === "failed") throw new Busy(state.error?.detail ?? "", { code: "overloaded" });
}
for await (const item of client.batch([new Blob()], { scale: 2 })) item.upscaled?.picture;
const batch = await client.submitBatch(["https://host/a.png", new URL("s3://a/b")], { scale: 2 });
const counts: Record<string, number> = (await batch.wait()).counts;
for (const source of await batch.sources()) source.error?.code;
console.log(counts);
// @ts-expect-error: a text is no number
await client.upscale(new Blob(), { scale: "2" });
// @ts-expect-error: no such option
await client.upscale(new Blob(), { scales: 2 });
"""


@needs_compiler
def test_typescript_calls_the_module_by_its_types(tmp_path: Path) -> None:
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules" / "anysr-client").symlink_to(FOLDER)
    (tmp_path / "caller.ts").write_text(CONSUMER)
    config = {"extends": str(ROOT / "jsconfig.json"), "include": ["caller.ts"], "exclude": []}
    (tmp_path / "tsconfig.json").write_text(json.dumps(config))
    assert tsc(tmp_path, "tsconfig.json") == (0, "")


@needs_compiler
def test_the_declarations_are_those_of_the_module(tmp_path: Path) -> None:
    """Written by `tsc --project jsconfig.client.json --declaration --emitDeclarationOnly
    --noEmit false --outDir clients/javascript`."""
    options = ("--declaration", "--emitDeclarationOnly", "--noEmit", "false")
    assert tsc(ROOT, CONFIG, *options, "--outDir", str(tmp_path)) == (0, "")
    assert (tmp_path / "anysr.d.ts").read_text() == (FOLDER / "anysr.d.ts").read_text()
