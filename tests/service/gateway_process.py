"""A gateway in a process of its own, so that a test can measure its memory.

Run by `python -m tests.service.gateway_process URL NAMESPACE SETTINGS`: it prints its port and
serves the drawn model until it is ended. SETTINGS are those of the gateway, as JSON.
"""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs.redis_queue import RedisQueue
from jobs.settings import QueueSettings
from models.catalog import Catalog, CatalogRead
from service import allocator
from service.catalog_store import CatalogStore
from service.main import create_app, create_server
from service.settings import GatewaySettings
from tests.service.harness import MODEL, model_entry

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True)
class GatewayProcess:
    """A running gateway and its memory."""

    port: int
    pid: int
    start_mib: float
    """Resident memory before the first request."""

    def peak_mib(self) -> float:
        """Return the most resident memory so far, in MiB."""
        return _mib(self.pid, "VmHWM")

    def resident_mib(self) -> float:
        """Return the resident memory, in MiB."""
        return resident_mib(self.pid)


def resident_mib(pid: int) -> float:
    """Return the resident memory of a process, in MiB."""
    return _mib(pid, "VmRSS")


def _mib(pid: int, name: str) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    (kib,) = re.findall(rf"^{name}:\s+(\d+) kB$", status, re.MULTILINE)
    return int(kib) / 1024


@contextmanager
def gateway_process(url: str, namespace: str, **settings: Any) -> Iterator[GatewayProcess]:
    """Run a gateway on the queue of a Redis, and end it afterwards."""
    command = [sys.executable, "-m", __name__, url, namespace, json.dumps(settings)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            yield GatewayProcess(port, process.pid, resident_mib(process.pid))
        finally:
            process.terminate()


def main(url: str, namespace: str, settings: str) -> None:
    """Serve until SIGTERM."""
    allocator.configure()
    queue = RedisQueue.connect(url, QueueSettings(namespace=namespace))
    catalog = Catalog(default=MODEL, models=(model_entry(MODEL),))
    gateway_settings = GatewaySettings(**json.loads(settings))
    app = create_app(gateway_settings, queue, CatalogStore(lambda _: CatalogRead(catalog)))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        create_server(gateway_settings, app).run([listener])


if __name__ == "__main__":
    main(*sys.argv[1:])
