"""The health checks of containers, on a worker's real metrics, a real page and a training."""

from __future__ import annotations

import http.server
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, start_http_server

from cli.health import SILENT_S, Unhealthy, gateway, main, trainer, worker
from workers.metrics import WorkerMetrics

ROOT = Path(__file__).parents[2]


@contextmanager
def worker_metrics(ready: bool) -> Iterator[dict[str, str]]:
    """Yield the environment of a container whose worker is warm, or not."""
    registry = CollectorRegistry()
    WorkerMetrics(registry).state(ready, busy=False)
    server, thread = start_http_server(0, "127.0.0.1", registry)
    try:
        yield {"ANYSR_WORKER_METRICS_PORT": str(server.server_port)}
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def gateway_that_answers(status: int, asked: list[str]) -> Iterator[dict[str, str]]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield {"ANYSR_PORT": str(server.server_port)}
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_only_a_warm_worker_is_healthy():
    with worker_metrics(ready=True) as environment:
        assert main(["worker"], environment) == 0
    with worker_metrics(ready=False) as environment:
        with pytest.raises(Unhealthy, match="not warm"):
            worker(environment)
        assert main(["worker"], environment) == 1


def test_a_worker_without_a_metrics_port_is_unhealthy():
    with pytest.raises(Unhealthy, match="ANYSR_WORKER_METRICS_PORT"):
        worker({})


@pytest.mark.parametrize("what", ["live", "ready"])
def test_a_gateway_is_checked_at_the_named_page(what):
    asked: list[str] = []
    with gateway_that_answers(200, asked) as environment:
        assert main([what], environment) == 0
    with gateway_that_answers(503, asked) as environment:
        assert main([what], environment) == 1
    assert asked == [f"/health/{what}"] * 2


def test_a_gateway_that_does_not_listen_is_unhealthy():
    with gateway_that_answers(200, []) as environment:
        pass
    with pytest.raises(Unhealthy, match="refused"):
        gateway(environment, "live")


def test_a_training_is_healthy_while_it_writes(tmp_path):
    started = tmp_path / "started"
    folder = tmp_path / "runs"
    (folder / "one").mkdir(parents=True)
    log = folder / "one" / "log.jsonl"
    log.touch()
    started.touch()
    old = time.time() - SILENT_S - 60
    for path in (started, log, folder / "one"):
        os.utime(path, (old, old))
    with pytest.raises(Unhealthy, match="nothing was written"):
        trainer(folder, started)
    log.touch()
    trainer(folder, started)
    os.utime(log, (old, old))
    started.touch()
    trainer(folder, started)


def test_unknown_arguments_print_the_usage(capsys):
    assert main(["gateway"], {}) == 2
    assert main([], {}) == 2
    assert "live|ready|worker|trainer" in capsys.readouterr().err


def test_only_the_standard_library_is_imported():
    script = (
        "import sys, cli.health; found = {name.partition('.')[0] for name in sys.modules};"
        "print(*sorted(found - set(sys.stdlib_module_names) - {'cli', '__main__'}))"
    )
    command = [sys.executable, "-S", "-c", script]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
