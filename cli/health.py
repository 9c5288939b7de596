"""`python -P -m cli.health live|ready|worker|trainer`: the health check of containers.

It uses the standard library alone, apart from the `anysr` command, because it runs every few
seconds: it needs no tool in the image, and takes no noticeable part of a core.
"""

from __future__ import annotations

import os
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

TIMEOUT_S = 3.0
WARM = "anysr_worker_ready 1.0"
SILENT_S = 1800.0
"""A training that has not written for this long is stuck; it writes every few minutes."""


class Unhealthy(Exception):
    """The process is not healthy; the message says why."""


def gateway(environment: Mapping[str, str], what: str) -> None:
    """Check whether the gateway of this container is `live`, or `ready` to accept jobs.

    Raises Unhealthy.
    """
    _body(f"http://127.0.0.1:{environment.get('ANYSR_PORT', '8000')}/health/{what}")


def worker(environment: Mapping[str, str]) -> None:
    """Check whether the worker of this container is warm, by its metrics.

    The queue is not consulted: an outage of Redis is no reason to restart workers. Raises
    Unhealthy.
    """
    port = environment.get("ANYSR_WORKER_METRICS_PORT", "0")
    if port == "0":
        raise Unhealthy("ANYSR_WORKER_METRICS_PORT is not set, so the worker cannot be checked")
    if WARM not in _body(f"http://127.0.0.1:{port}/metrics").splitlines():
        raise Unhealthy("the worker is not warm yet")


def trainer(folder: Path, started: Path = Path("/proc/1")) -> None:
    """Check whether the training has written to its folder, or was `started`, recently.

    Raises Unhealthy.
    """
    newest = max(path.stat().st_mtime for path in (started, *folder.rglob("*")) if path.exists())
    if (silent_s := time.time() - newest) > SILENT_S:
        raise Unhealthy(f"nothing was written to {folder} for {silent_s:.0f} s")


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Return the exit status: 0 healthy, 1 not healthy, 2 wrong arguments."""
    checks = {
        "live": lambda: gateway(environment, "live"),
        "ready": lambda: gateway(environment, "ready"),
        "worker": lambda: worker(environment),
        "trainer": lambda: trainer(Path.cwd()),
    }
    if len(arguments) != 1 or arguments[0] not in checks:
        print(f"usage: python -P -m cli.health {'|'.join(checks)}", file=sys.stderr)
        return 2
    try:
        checks[arguments[0]]()
    except Unhealthy as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _body(url: str) -> str:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=TIMEOUT_S) as answer:
            return str(answer.read(), "utf-8")
    except OSError as error:  # urllib's errors and time-outs are OSErrors
        raise Unhealthy(f"{url}: {error}") from error


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
