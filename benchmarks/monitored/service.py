"""A service that can be disturbed, with its Prometheus, to test alerts and dashboards.

`processes` runs it as plain processes, `stack` as the containers of docker-compose.yml.
"""

from __future__ import annotations

import contextlib
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import httpx

START_TIMEOUT_S = 60.0


@dataclass
class Monitored(ABC):
    """A running service. Workers have slots, counted from 0."""

    url: str
    state_url: str
    """Where the gateway's health is shown in full."""
    prometheus_url: str

    @abstractmethod
    def kill_gateway(self) -> None:
        """End the gateway as a crash would."""

    @abstractmethod
    def kill_worker(self, slot: int) -> None:
        """End a worker as a crash would, without a restart."""

    @abstractmethod
    def start_worker(self, slot: int) -> None:
        """Start the worker of a slot whose process has ended; it is warm some seconds later."""

    @abstractmethod
    def kill_decoder(self, slot: int) -> None:
        """End the process that decodes pictures for a worker, as a crash would."""

    @abstractmethod
    def paused_workers(self) -> AbstractContextManager[None]:
        """Return a context manager in which all workers are paused."""

    @abstractmethod
    def limit_redis(self, maxmemory: int) -> None:
        """Limit the memory of Redis to so many bytes from now on."""

    def wait_ready(self, workers: int) -> None:
        """Wait until exactly so many workers live, and all are warm."""

        def seen() -> bool:
            health = httpx.get(f"{self.state_url}/health/ready").json()
            ready = [worker["ready"] for worker in health["workers"]]
            return len(ready) == workers and all(ready)

        self.until(seen)

    def query(self, expression: str, at: float | None = None) -> list[dict[str, Any]]:
        """Return the series of a PromQL expression, now or at a time by time.time().

        Raises httpx.HTTPStatusError for an expression that Prometheus refuses.
        """
        parameters = {"query": expression} | ({} if at is None else {"time": str(at)})
        answer = httpx.get(f"{self.prometheus_url}/api/v1/query", params=parameters, timeout=30)
        answer.raise_for_status()
        series: list[dict[str, Any]] = answer.json()["data"]["result"]
        return series

    def firing(self) -> set[str]:
        """Return the names of the alerts that fire now."""
        return {one["metric"]["alertname"] for one in self.query('ALERTS{alertstate="firing"}')}

    def until(self, condition: Callable[[], bool], within_s: float = START_TIMEOUT_S) -> None:
        """Wait until a condition is true. Raises TimeoutError."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.TransportError):
                if condition():
                    return
            time.sleep(0.1)
        raise TimeoutError(f"not within {within_s:g} s")


class Start(Protocol):
    """Starts a service of one worker, which is ready when the context is entered."""

    def __call__(
        self,
        folder: Path,
        settings: Mapping[str, str],
        *,
        every_s: float | None = None,
        hurry: float = 1.0,
    ) -> AbstractContextManager[Monitored]:
        """Run with files in a folder, and `settings` (ANYSR_*) for gateway and worker.

        Prometheus scrapes and evaluates rules each `every_s` seconds (None: as deployed); `hurry`
        divides the time for which a condition must hold before its alert fires.
        """
