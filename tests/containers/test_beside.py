"""Beside the service: Alertmanager behind Prometheus, and Caddy in front of the gateway."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.containers.conftest import PORT
from tests.containers.stack import WAIT_S, Stack, eventually, inspect, photograph, size_of
from tests.support.key_files import new_key

ALERTS_PORT, HTTP_PORT, HTTPS_PORT = (str(int(PORT) + n) for n in (3, 4, 5))
OWN_PORTS = f"""\
services:
  caddy:
    ports: !override ["127.0.0.1:{HTTP_PORT}:80", "127.0.0.1:{HTTPS_PORT}:443"]
"""
"""In place of 80 and 443, which the machine may need."""
ROOT = "/data/caddy/pki/authorities/local/root.crt"
"""Certificate of the authority that Caddy makes for localhost, and for no public name."""
ALERTMANAGER = "prom/alertmanager:v0.27.0"
CADDY = "caddy:2.8.4-alpine"


def need_images(*names: str) -> None:
    """Skip the test where an image is neither on this machine nor to be had from a registry."""
    for name in names:
        for command in ("inspect", "pull"):
            if not subprocess.run(
                ["docker", "image", command, name], capture_output=True
            ).returncode:
                break
        else:
            pytest.skip(f"the image {name} is not here, and no registry has it for this machine")


@pytest.fixture
def alerting() -> Iterator[str]:
    """URL of an Alertmanager whose Prometheus finds no gateway."""
    need_images(ALERTMANAGER)
    variables = {"COMPOSE_PROFILES": "alerts", "ALERTMANAGER_PORT": ALERTS_PORT}
    stack = Stack("anysr-alerts-test", variables)
    stack.down()
    try:
        stack.up("prometheus", "alertmanager")
        yield f"http://127.0.0.1:{ALERTS_PORT}"
    finally:
        stack.down()


def test_an_alert_of_prometheus_reaches_its_receiver(
    alerting: str, say: Callable[[str], None]
) -> None:
    """With rules, times and routes as shipped: an alert must last a minute before it fires."""

    def received() -> list[dict[str, Any]] | None:
        answer = httpx.get(f"{alerting}/api/v2/alerts", params={"receiver": "on-call"})
        return answer.json() or None

    alerts = eventually(received, "an alert at the receiver on-call", 2 * WAIT_S)
    say(f"Alertmanager: {[alert['labels'] for alert in alerts]}")
    assert {alert["labels"]["alertname"] for alert in alerts} == {"AnysrGatewayDown"}
    assert all(alert["annotations"]["runbook"] for alert in alerts)


@pytest.fixture
def shop(tmp_path: Path) -> dict[str, str]:
    """Headers with the key of a client, whose file the gateway's user may read."""
    keys = tmp_path / "keys" / "keys.toml"
    keys.parent.mkdir()
    keys.touch(0o644)
    return new_key(keys, "shop", requests_per_second=50)


@pytest.fixture
def public(built: dict[str, str], tmp_path: Path, shop: dict[str, str]) -> Iterator[Stack]:
    """The service behind Caddy, under the name localhost, with a key for `shop`."""
    assert shop
    own = tmp_path / "own.compose.yml"
    own.write_text(OWN_PORTS)
    files = ("docker-compose.yml", "deploy/internet.compose.yml", str(own))
    need_images(CADDY)
    names = {"ANYSR_DOMAIN": "localhost", "ANYSR_KEYS_FOLDER": str(tmp_path / "keys")}
    stack = Stack("anysr-internet-test", {**built, **names}, files)
    stack.down()
    try:
        stack.up("redis", "gateway", "worker", "caddy")
        yield stack
    finally:
        stack.down()


def test_caddy_passes_keys_and_pictures_on(public: Stack, shop: dict[str, str]) -> None:
    trusted = ssl.create_default_context(cadata=public.inside("caddy", "cat", ROOT))
    https = f"https://localhost:{HTTPS_PORT}"
    with httpx.Client(base_url=https, verify=trusted, timeout=WAIT_S) as caller:
        assert caller.get("/models").status_code == 401
        assert caller.get("/models", headers={"Authorization": "Bearer a"}).status_code == 401
        picture = {"image": photograph(64, 48)}
        answer = caller.post("/upscale", params={"scale": 2}, files=picture, headers=shop)
        assert answer.status_code == 200, answer.text
        assert size_of(answer.content) == (128, 96)
        for hidden in ("/metrics", "/admin/reload"):
            assert caller.get(hidden, headers=shop).status_code == 404
    moved = httpx.get(f"http://127.0.0.1:{HTTP_PORT}/models", headers={"Host": "localhost"})
    assert (moved.status_code, moved.headers["location"]) == (308, "https://localhost/models")
    gateway, caddy = (inspect(public.containers(name)[0]) for name in ("gateway", "caddy"))
    assert not any(gateway["NetworkSettings"]["Ports"].values())
    assert caddy["HostConfig"]["ReadonlyRootfs"]
    assert caddy["HostConfig"]["CapDrop"] == ["ALL"]
