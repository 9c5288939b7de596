"""The service against its own description: `python -m tests.schema.run` (`make schema-test`).

Schemathesis draws requests from /openapi.json, among them wrong ones, and checks that each answer
is one that the description has, and none of them a failure of the server. It runs twice: against a
service that needs no keys, and against one that does. Printed are its findings, and how many
requests each route answered, by status. The status is 1 if anything was found.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.local_service import running_service
from tests.support.key_files import new_key

ROOT = Path(__file__).parents[2]
CONFIG = Path(__file__).with_name("schemathesis.toml")
TOOL = Path(
    os.environ.get("ANYSR_SCHEMATHESIS", ROOT / ".venv" / "schema" / "bin" / "schemathesis")
)
ADMIN_KEY = "admin-key-of-this-run"
LINK_KEYS = "schema:0123456789abcdef0123456789abcdef"
LIMITS = {"requests_per_second": 1000, "burst": 100, "jobs_waiting": 100}
"""Of the client: loose, so that its requests are counted and few are refused."""

Statuses = dict[str, Counter[int]]
"""By operation: how many requests were answered with each status."""


def main(examples: int, seed: int | None) -> int:
    """Test the description with up to so many drawn requests per operation, without and with keys;
    return the exit status."""
    if not TOOL.exists():
        sys.exit(f"{TOOL} is missing: `make schema-test` installs it.")
    failed = False
    with tempfile.TemporaryDirectory() as name, picture_server() as address:
        folder = Path(name)
        for keyed in (False, True):
            print(f"\n== {'with' if keyed else 'without'} keys", flush=True)
            environment, token = settings(folder, address, keyed=keyed)
            with running_service(1, **environment) as url:
                passed = run_tool(url, folder, address, token, examples, seed)
            show(statuses_of(folder / "report.ndjson"))
            failed = failed or not passed
    return int(failed)


def settings(folder: Path, address: str, *, keyed: bool) -> tuple[dict[str, str], str]:
    """Return the settings of a service with all its optional parts, and a client's key."""
    environment = {
        "ANYSR_ADMIN_KEY": ADMIN_KEY,
        "ANYSR_LINK_KEYS": LINK_KEYS,
        "ANYSR_CACHE_MB": "32",
        "ANYSR_RUNTIME": "onnx",
        "ANYSR_SOURCES": "127.0.0.1",
        "ANYSR_OUTBOUND_ALLOW_PRIVATE": "127.0.0.0/8",
        "ANYSR_OUTBOUND_PORTS": address.split(":")[2].split("/")[0],
        "ANYSR_WEBHOOK_SECRETS": "whsec_" + base64.b64encode(bytes(32)).decode(),
    }
    if not keyed:
        return environment, ADMIN_KEY
    file = folder / "keys.toml"
    token = new_key(file, "tester", **LIMITS)["Authorization"].removeprefix("Bearer ")
    return environment | {"ANYSR_KEYS": str(file)}, token


def run_tool(
    url: str, folder: Path, address: str, token: str, examples: int, seed: int | None
) -> bool:
    """Run Schemathesis; return whether it found nothing."""
    command = [str(TOOL), f"--config-file={CONFIG}", "run", f"{url}/openapi.json"]
    command += [f"--max-examples={examples}", "--continue-on-failure", "--warnings=off"]
    command += [f"--report-ndjson-path={folder / 'report.ndjson'}"]
    command += [] if seed is None else [f"--seed={seed}"]
    environment = {
        "ADMIN_KEY": ADMIN_KEY,
        "CLIENT_KEY": token,
        "ANYSR_LINK_KEYS": LINK_KEYS,
        "ANYSR_SCHEMA_ADDRESS": address,
        "ANYSR_SCHEMA_PICTURE": base64.b64encode(drawn()).decode(),
        "SCHEMATHESIS_HOOKS": "tests.schema.hooks",
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(command, cwd=ROOT, env=os.environ | environment, check=False)
    return done.returncode == 0


def statuses_of(report: Path) -> Statuses:
    """Return how often each operation answered with each status, by a report of Schemathesis: JSON
    lines, of which each finished scenario has its requests and their answers."""
    found: Statuses = {}
    with report.open() as lines:
        for line in lines:
            scenario = json.loads(line).get("ScenarioFinished")
            for operation, status in [] if scenario is None else _answers(scenario["recorder"]):
                found.setdefault(operation, Counter())[status] += 1
    return found


def _answers(recorder: dict[str, Any]) -> Iterator[tuple[str, int]]:
    for key, interaction in recorder.get("interactions", {}).items():
        value, response = recorder["cases"][key]["value"], interaction.get("response")
        if isinstance(response, dict):
            yield f"{value['method']} {value['path']}", int(response["status_code"])


def show(found: Statuses) -> None:
    """Print a line for each operation that exists, and the sum."""
    print(f"{'operation':52}{'requests':>9}{'2xx':>6}  others")
    for operation, by_status in sorted(found.items(), key=lambda item: item[0].split(" ")[::-1]):
        if set(by_status) == {HTTPStatus.METHOD_NOT_ALLOWED}:
            continue
        good = sum(number for status, number in by_status.items() if status < 300)
        rest = ", ".join(f"{s}: {n}" for s, n in sorted(by_status.items()) if s >= 300)
        print(f"{operation:52}{by_status.total():9}{good:6}  {rest}")
    every = sum(by_status.total() for by_status in found.values())
    broken = sum(n for by_status in found.values() for s, n in by_status.items() if s >= 500)
    print(f"{every} requests, {broken} answered by a status of 500 or above")


def drawn() -> bytes:
    """Return a small PNG."""
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((12, 9)).save(buffer, "PNG")
    return buffer.getvalue()


@contextlib.contextmanager
def picture_server() -> Iterator[str]:
    """Serve the small PNG on a free port, and yield its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            picture = drawn()
            self.send_response(200)
            self.send_header("Content-Type", "image/png")
            self.send_header("Content-Length", str(len(picture)))
            self.end_headers()
            self.wfile.write(picture)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/photo.png"
    finally:
        server.shutdown()
        server.server_close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=100, help="most drawn for an operation")
    parser.add_argument("--seed", type=int, help="of an earlier run, which printed it")
    given = parser.parse_args()
    sys.exit(main(given.examples, given.seed))
