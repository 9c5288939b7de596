"""Fixtures: the client of Python in its two kinds, the awaiting one as if it blocked.

- test_service: both kinds against `anysr serve`
- test_interrupted: both kinds against a server that fails first
- test_stores: both kinds, and a server that stands for a store
- test_jobs: a gateway with a scripted worker, for what needs a job that goes on
- test_retries, test_calls, test_reading: decisions without a server
- test_javascript: the module of JavaScript, by node
- test_packages: wheel, versions, types; test_readmes: the examples
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from anysr_client import AsyncClient, Client, Retries
from tests.service.conftest import catalog, start, worker

__all__ = ["catalog", "start", "worker"]  # fixtures that tests of the gateway use as well

QUICK = Retries(first_pause_s=0.001, longest_pause_s=0.002)
"""Retries of tests, which need no rest between two tries."""


class Blocking:
    """An object with coroutine functions, whose calls block."""

    def __init__(self, inner: Any, runner: asyncio.Runner) -> None:
        self._inner = inner
        self._runner = runner

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        return self._blocking(found) if inspect.ismethod(found) else found

    def _blocking(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            made = function(*arguments, **options)
            if inspect.isasyncgen(made):
                return self._listed(made)
            result = self._runner.run(made) if inspect.iscoroutine(made) else made
            return Blocking(result, self._runner) if hasattr(result, "cancel") else result

        return call

    def _listed(self, items: Any) -> Iterator[Any]:
        async def listed() -> list[Any]:
            return [item async for item in items]

        return iter(self._runner.run(listed()))


Connect = Callable[..., Any]


@pytest.fixture(params=["blocking", "awaiting"])
def connect(request: pytest.FixtureRequest) -> Iterator[Connect]:
    """Return a function that makes a client of either kind."""
    with asyncio.Runner() as runner:
        made: list[Any] = []

        def connected(server: str, **settings: Any) -> Any:
            settings = {"retries": QUICK, **settings}
            if request.param == "blocking":
                made.append(Client(server, **settings))
            else:
                made.append(Blocking(AsyncClient(server, **settings), runner))
            return made[-1]

        yield connected
        for client in made:
            client.close() if request.param == "blocking" else client.aclose()
