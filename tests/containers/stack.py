"""A Compose project under test: commands of the engine, and HTTP to the published port."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from typing import Any, TypeVar

import httpx
from PIL import Image
from skimage import data

from benchmarks.compose import CommandFailed, ComposeProject, docker

T = TypeVar("T")

WAIT_S = 120.0

FETCH = """
import sys, urllib.error, urllib.request
try:
    page = urllib.request.urlopen(sys.argv[1])
except urllib.error.HTTPError as error:
    page = error
print(page.read().decode())
"""
STATE_URL = "http://127.0.0.1:9101"
"""Of health and metrics, inside the gateway's container."""


def inspect(container: str) -> dict[str, Any]:
    """Return what the engine reports on a container or an image."""
    found: dict[str, Any] = json.loads(docker("inspect", container))[0]
    return found


def eventually(look: Callable[[], T | None], what: str, seconds: float = WAIT_S) -> T:
    """Poll until the result is true, and return it."""
    until = time.monotonic() + seconds
    while True:
        try:
            seen = look()
        except (AssertionError, CommandFailed, httpx.TransportError):
            seen = None
        if seen:
            return seen
        assert time.monotonic() < until, f"not within {seconds:g} s: {what}"
        time.sleep(0.2)


def photograph(width: int, height: int) -> bytes:
    """scikit-image's public-domain astronaut, as a JPEG of this size."""
    file = io.BytesIO()
    Image.fromarray(data.astronaut()).resize((width, height)).save(file, "jpeg", quality=92)
    return file.getvalue()


def size_of(picture: bytes) -> tuple[int, int]:
    """Decode a picture, and return its width and height."""
    with Image.open(io.BytesIO(picture)) as image:
        image.load()
        return image.size


class Stack(ComposeProject):
    """A Compose project, and requests to it."""

    def fetch_inside(self, url: str) -> str:
        """Return a page of the project's network, whatever its status, fetched in the gateway's
        container."""
        return self.inside("gateway", "python", "-c", FETCH, url)

    def ready(self) -> dict[str, Any]:
        """Return the gateway's report on workers and queue."""
        answer: dict[str, Any] = json.loads(self.fetch_inside(f"{STATE_URL}/health/ready"))
        return answer

    def warm_workers(self) -> int:
        """Return the number of warm workers."""
        return sum(worker["ready"] for worker in self.ready().get("workers", ()))

    def upscale(self, picture: bytes, **parameters: Any) -> httpx.Response:
        """POST a picture to /upscale."""
        return self._post("/upscale", picture, parameters)

    def submit(self, picture: bytes, **parameters: Any) -> str:
        """POST a picture to /jobs; return the id of the accepted job."""
        answer = self._post("/jobs", picture, parameters)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def job(self, job_id: str) -> dict[str, Any]:
        """Return the job. Raises AssertionError while it is unavailable."""
        answer = httpx.get(f"{self.url}/jobs/{job_id}")
        assert answer.status_code == 200, answer.text
        members: dict[str, Any] = answer.json()
        return members

    def ended(self, job_id: str) -> dict[str, Any]:
        """Wait until the job has ended, and return it."""

        def look() -> dict[str, Any] | None:
            job = self.job(job_id)
            return job if job["status"] not in ("queued", "running") else None

        return eventually(look, f"the end of job {job_id}")

    def result(self, job_id: str) -> bytes:
        """Return the picture of a successful job."""
        answer = httpx.get(f"{self.url}/jobs/{job_id}/result")
        assert answer.status_code == 200, answer.text
        return answer.content

    def _post(self, path: str, picture: bytes, parameters: dict[str, Any]) -> httpx.Response:
        return httpx.post(
            f"{self.url}{path}",
            params=parameters,
            content=picture,
            headers={"Content-Type": "image/jpeg"},
            timeout=WAIT_S,
        )
