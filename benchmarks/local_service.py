"""A whole service on this machine, for benchmarks and tests: `anysr serve` on a free port."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from typing import IO

import httpx

START_TIMEOUT_S = 180.0
STOP_TIMEOUT_S = 90.0
"""More than `anysr serve` waits for requests, and for the job of a worker, before it ends."""


def server_timing(header: str) -> dict[str, float]:
    """Return the durations of a Server-Timing header by name, in ms."""
    return {name: float(ms) for name, ms in re.findall(r"(\w+);dur=([\d.]+)", header)}


@contextlib.contextmanager
def running_service(workers: int = 1, **environment: str) -> Iterator[str]:
    """Run `anysr serve` on a free port until all workers are ready, and yield its URL.

    Raises TimeoutError if it does not become ready, RuntimeError if it ends.
    """
    with running_process(workers, **environment) as (url, _):
        yield url


@contextlib.contextmanager
def running_process(
    workers: int, **environment: str
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run a service as `running_service` does, and yield URL and process; without workers, run a
    gateway alone."""
    with running_with_log(workers, environment, subprocess.DEVNULL) as found:
        yield found


@contextlib.contextmanager
def running_with_log(
    workers: int, environment: Mapping[str, str], log: IO[bytes] | int
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run a service as `running_process` does. What it writes to standard error goes to `log`.

    Raises TimeoutError if it does not become ready, RuntimeError if it ends.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    part = ["serve", "--workers", str(workers)] if workers else ["gateway"]
    command = [sys.executable, "-P", "-m", "cli.main", *part, "--port", str(port)]
    quiet = {"ANYSR_LOG_LEVEL": "warning", **os.environ, **environment}
    process = subprocess.Popen(command, env=quiet, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_ready(url, process, workers)
        yield url, process
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        raise


def _wait_ready(url: str, process: subprocess.Popen[bytes], workers: int) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the service ended with status {process.returncode}")
        with contextlib.suppress(httpx.HTTPError):
            health = httpx.get(f"{url}/health/ready").json()
            if sum(worker["ready"] for worker in health["workers"]) >= workers:
                return
        time.sleep(0.1)
    raise TimeoutError(f"the service was not ready after {START_TIMEOUT_S:g} s")
