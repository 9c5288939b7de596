"""The store of the profile `s3`: gateway and worker keep their pictures there, and callers on this
machine upload to it and fetch from it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.containers.conftest import PORT
from tests.containers.stack import WAIT_S, Stack, eventually, photograph, size_of
from tests.containers.test_beside import need_images

STORE = "chrislusf/seaweedfs:4.48"
FILES = ("docker-compose.yml", "deploy/s3.compose.yml")
S3_PORT = str(int(PORT) + 6)
OBJECTS = "http://s3:8888/buckets/pictures/queue/anysr/results/"
"""A folder of the bucket, as the store's file server shows it inside the project."""


@pytest.fixture
def with_store(built: dict[str, str]) -> Iterator[Stack]:
    """The service with the store of the profile."""
    need_images(STORE)
    names = {"COMPOSE_PROFILES": "s3", "S3_PORT": S3_PORT}
    stack = Stack("anysr-s3-test", {**built, **names}, FILES)
    stack.down()
    try:
        stack.up("redis", "s3", "gateway", "worker")
        yield stack
    finally:
        stack.down()


def test_callers_exchange_pictures_with_the_store(with_store: Stack) -> None:
    exchange(with_store)


def exchange(stack: Stack) -> None:
    """Upload a picture to the store, and fetch its result from there."""
    picture = photograph(64, 48)
    with httpx.Client(base_url=stack.url, timeout=WAIT_S) as caller:
        upload = caller.post("/uploads", json={"bytes": len(picture)}).json()
        sent = httpx.put(upload["url"], content=picture, headers=upload["headers"])
        assert sent.status_code == 200, sent.text
        job = caller.post("/jobs", params={"scale": 2, "upload": upload["id"]}).json()

        def ended() -> dict[str, Any] | None:
            state: dict[str, Any] = caller.get(job["links"]["self"]).json()
            return state if state["finished_ms"] else None

        assert eventually(ended, "the end of a job")["status"] == "succeeded"
        answer = caller.get(job["links"]["result"], params={"redirect": "true"})
        assert answer.status_code == 303, answer.text
        result = httpx.get(answer.headers["location"])
        assert size_of(result.content) == (128, 96)
        assert job["id"] in stack.fetch_inside(OBJECTS)
        assert size_of(caller.post("/upscale", params={"scale": 2}, content=picture).content) == (
            128,
            96,
        )
