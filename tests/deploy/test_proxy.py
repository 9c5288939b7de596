"""The reverse proxies' configurations are valid, and agree with the gateway's bounds."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from service.settings import GatewaySettings
from tests.deploy.compose_files import DEPLOY, read

PROXY = DEPLOY / "proxy"
CADDYFILE, NGINX = PROXY / "Caddyfile", PROXY / "nginx.conf"
INTERNET = read(DEPLOY / "internet.compose.yml")["services"]
NAMES = {"ANYSR_DOMAIN": "localhost"}
MIB = 1 << 20

needs_nginx = pytest.mark.skipif(
    shutil.which("nginx") is None or shutil.which("openssl") is None,
    reason="nginx and openssl are not installed",
)
needs_caddy = pytest.mark.skipif(shutil.which("caddy") is None, reason="caddy is not installed")


def number(pattern: str, path: Path) -> int:
    (found,) = re.findall(pattern, path.read_text())
    return int(found)


@pytest.mark.parametrize(
    ("size", "wait", "path"),
    [
        (r"max_size (\d+)MiB", r"response_header_timeout (\d+)s", CADDYFILE),
        (r"client_max_body_size (\d+)m;", r"proxy_read_timeout (\d+)s;", NGINX),
    ],
    ids=["caddy", "nginx"],
)
def test_a_proxy_allows_what_the_gateway_does(size: str, wait: str, path: Path) -> None:
    settings = GatewaySettings()
    assert settings.max_body_bytes < number(size, path) * MIB <= 2 * settings.max_body_bytes
    longest_ms = settings.max_default_budget_ms + settings.grace_ms
    assert number(wait, path) * 1000 > longest_ms


@pytest.mark.parametrize("path", [CADDYFILE, NGINX], ids=["caddy", "nginx"])
def test_a_proxy_leaves_authorization_to_the_gateway_and_hides_operators_routes(path: Path) -> None:
    """Keys and a password at the proxy would need the same header."""
    text = path.read_text()
    assert "basic" not in text
    for route in ("/metrics", "/admin/"):
        assert route in text
    assert text.count("404") >= 1


def test_callers_cannot_write_their_own_address() -> None:
    """Caddy replaces the header by itself; nginx has to be asked to."""
    assert "X-Forwarded-For $remote_addr;" in NGINX.read_text()
    assert "proxy_add_x_forwarded_for" not in NGINX.read_text()
    assert "trusted_proxies" not in CADDYFILE.read_text()


def test_nobody_passes_caddy_by() -> None:
    gateway, caddy = INTERNET["gateway"], INTERNET["caddy"]
    assert not gateway["ports"]
    folder = Path(gateway["environment"]["ANYSR_KEYS"]).parent
    assert gateway["volumes"] == [f"${{ANYSR_KEYS_FOLDER:-./keys}}:{folder}:ro"]
    assert "ANYSR_DOMAIN" in gateway["environment"]["ANYSR_TRUSTED_HOSTS"]
    assert caddy["cap_drop"] == ["ALL"]
    assert caddy["read_only"] is True
    assert set(NAMES) <= set(caddy["environment"])
    assert "!reset []" in (DEPLOY / "internet.compose.yml").read_text()


@needs_nginx
def test_nginx_accepts_its_configuration(tmp_path: Path) -> None:
    key = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost")
    files = ("-keyout", str(tmp_path / "privkey.pem"), "-out", str(tmp_path / "fullchain.pem"))
    subprocess.run([*key, *files], capture_output=True, check=True)
    site = NGINX.read_text().replace("/etc/letsencrypt/live/upscale.example.com", str(tmp_path))
    (tmp_path / "site.conf").write_text(site)
    temporary = " ".join(
        f"{kind}_temp_path {tmp_path / kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (tmp_path / "nginx.conf").write_text(
        f"pid {tmp_path / 'pid'}; error_log stderr; events {{}}\n"
        f"http {{ access_log off; {temporary} include {tmp_path / 'site.conf'}; }}\n"
    )
    command = ["nginx", "-t", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@needs_caddy
def test_caddy_accepts_its_configuration(tmp_path: Path) -> None:
    done = subprocess.run(
        ["caddy", "validate", "--adapter", "caddyfile", "--config", str(CADDYFILE)],
        env={**NAMES, "HOME": str(tmp_path), "PATH": str(Path(shutil.which("caddy") or "").parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
