"""Upscale one picture within a budget: `python upscale.py INPUT SCALE OUTPUT`. Needs httpx."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import httpx

SERVER = os.environ.get("ANYSR_SERVER", "http://127.0.0.1:8000")
BUDGET_MS = 10_000
TRIES = 5


def upscale(client: httpx.Client, picture: Path, scale: float) -> httpx.Response:
    """Return the answer with the upscaled picture.

    A busy service (429) and a starting one (503) answer with Retry-After. Raises RuntimeError
    with the code and the detail of any other problem, or of these after `TRIES` tries.
    """
    for tries_left in reversed(range(TRIES)):
        answer = client.post(
            "/upscale",
            files={"image": (picture.name, picture.read_bytes())},
            data={"scale": str(scale), "latency_budget_ms": str(BUDGET_MS)},
        )
        if answer.is_success:
            return answer
        if answer.status_code not in (429, 503) or not tries_left:
            problem = answer.json()
            raise RuntimeError(f"{problem['code']}: {problem['detail']}")
        time.sleep(float(answer.headers.get("Retry-After", "1")))
    raise AssertionError("unreachable")


def main(source: str, scale: str, target: str) -> None:
    """Write the upscaled picture, and print what ran."""
    # Longer than the budget, because a late picture is sent as well.
    with httpx.Client(base_url=SERVER, timeout=60) as client:
        answer = upscale(client, Path(source), float(scale))
    Path(target).write_bytes(answer.content)
    model, width = answer.headers["X-AnySR-Model"], answer.headers["X-AnySR-Width"]
    print(f"{model} at width {width} in {answer.headers['X-AnySR-Elapsed-Ms']} ms")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except RuntimeError as error:
        sys.exit(str(error))
