"""Check of the alerts: each fires under its condition, and none under normal load.

A real service runs under a real Prometheus with the deployed rules. To save time, conditions need
to hold only for a part of their time (`HURRY`); normal load runs under the rules as deployed.
"""

from __future__ import annotations

import contextlib
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks.alert_scenes import SCENES, SMALL, Scene
from benchmarks.compose import CommandFailed
from benchmarks.monitored.service import Monitored, Start

HURRY = 20.0
EVERY_S = 0.5
FIRING_TIMEOUT_S = 180.0
NORMAL_PAUSE_S = 1.0

Report = Callable[[str], None]


@dataclass(frozen=True)
class Fired:
    """One alert whose condition was created."""

    alert: str
    after_s: float | None
    """Seconds from the beginning of the condition; None: the alert did not fire in time."""


@dataclass(frozen=True)
class NormalLoad:
    """Result of a period of normal load."""

    seconds: float
    requests: int
    pictures: int
    fired: frozenset[str]
    """Alerts that fired during it."""


def fire_all(start: Start, report: Report = lambda line: None) -> list[Fired]:
    """Create the condition of each alert in turn, each on a service of its own.

    Raises as `start` does.
    """
    found = []
    for alert, scene in SCENES.items():
        with (
            tempfile.TemporaryDirectory(prefix="anysr-alerts-") as folder,
            start(Path(folder), scene.settings, every_s=EVERY_S, hurry=HURRY) as service,
        ):
            found.append(watch(service, alert, scene))
        after_s = found[-1].after_s
        report(f"{alert}: " + ("did not fire" if after_s is None else f"fired in {after_s:.0f} s"))
    return found


def watch(service: Monitored, alert: str, scene: Scene) -> Fired:
    """Play a scene on a service, and wait until its alert fires."""
    service.until(lambda: alert not in service.firing())  # it may fire while the service starts
    since = time.monotonic()
    over = threading.Event()
    acting = threading.Thread(target=_act, args=(scene, service, over), daemon=True)
    acting.start()
    try:
        service.until(lambda: alert in service.firing(), FIRING_TIMEOUT_S)
    except TimeoutError:
        return Fired(alert, None)
    else:
        return Fired(alert, time.monotonic() - since)
    finally:
        over.set()
        acting.join()


def _act(scene: Scene, service: Monitored, over: threading.Event) -> None:
    while not over.is_set():
        # A round may fail, because a disturbed service refuses jobs.
        with contextlib.suppress(httpx.HTTPError, CommandFailed, TimeoutError):
            scene.act(service)
        if not scene.repeated:
            return
        over.wait(0.1)


def run_normal_load(start: Start, seconds: float, report: Report = lambda line: None) -> NormalLoad:
    """Send normal load, one picture of several kinds per second, under the rules as deployed.

    Raises as `start` does.
    """
    fired: set[str] = set()
    requests = pictures = 0
    with (
        tempfile.TemporaryDirectory(prefix="anysr-alerts-") as folder,
        start(Path(folder), {}) as service,
        httpx.Client(base_url=service.url, timeout=60) as client,
    ):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            requests += 1
            pictures += _upscale(client, **NORMAL[requests % len(NORMAL)]).is_success
            new = service.firing() - fired
            fired |= new
            for alert in sorted(new):
                report(f"{alert} fired after {requests} requests")
            time.sleep(NORMAL_PAUSE_S)
    return NormalLoad(seconds, requests, pictures, frozenset(fired))


NORMAL: tuple[Mapping[str, str | float], ...] = (
    {"scale": 2},
    {"scale": 3, "latency_budget_ms": 4000},
    {"scale": 2.37, "anysr_width": 0.5},
    {"scale": 4, "latency_budget_ms": 1},  # refused, as it should be
    {"scale": 1.5, "latency_budget_ms": 2000, "on_miss": "reject"},
)


def _upscale(client: httpx.Client, **params: str | float) -> httpx.Response:
    headers = {"Content-Type": "image/jpeg"}
    return client.post("/upscale", params=params, content=SMALL, headers=headers)
