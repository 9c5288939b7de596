"""The keepalive: what a worker sends, and when its pool takes it for silent."""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
from collections.abc import Iterator

import pytest

from tests.support.waiting import eventually
from workers.keepalive import KeepaliveReader, sending_keepalive


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.keepalive.KEEPALIVE_S", 0.01)
    monkeypatch.setattr("workers.keepalive.SILENT_S", 0.1)


@pytest.fixture
def keepalive() -> Iterator[KeepaliveReader]:
    reader = KeepaliveReader()
    with contextlib.closing(reader):
        yield reader


def test_who_was_heard_once_and_no_more_is_silent(keepalive: KeepaliveReader) -> None:
    os.write(keepalive.sending, b".")
    assert keepalive.falls_silent()
    keepalive.sent()


def test_who_was_never_heard_is_not_silent(keepalive: KeepaliveReader) -> None:
    later = threading.Timer(0.5, keepalive.sent)  # several times as long as one may be silent
    later.start()
    assert not keepalive.falls_silent()


def test_who_has_ended_is_not_silent(keepalive: KeepaliveReader) -> None:
    os.write(keepalive.sending, b"...")
    keepalive.sent()
    assert not keepalive.falls_silent()


async def test_a_worker_sends_its_keepalive_until_it_ends() -> None:
    receiving, sending = os.pipe()
    os.set_blocking(receiving, False)
    received = list[bytes]()

    def more() -> bool:
        with contextlib.suppress(BlockingIOError):
            received.append(os.read(receiving, 1))
        return len(received) >= 3

    async with sending_keepalive(sending):
        await eventually(more, "three beats")
    os.set_blocking(receiving, True)
    while os.read(receiving, 1):
        pass  # to the end, which comes because the worker has closed it
    os.close(receiving)


async def test_a_pool_that_reads_nothing_does_not_hold_up_the_worker() -> None:
    """A write to a full pipe would block the event loop for ever."""
    receiving, sending = os.pipe()
    os.set_blocking(sending, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(sending, b"." * 4096)
    os.set_blocking(sending, True)
    turns = itertools.count()
    async with sending_keepalive(sending):
        await eventually(lambda: next(turns) >= 10, "turns of the event loop")
    os.close(receiving)


async def test_a_worker_without_a_pool_sends_nothing() -> None:
    async with sending_keepalive(None):
        pass
