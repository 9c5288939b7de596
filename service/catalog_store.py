"""The catalog that a gateway goes by, read again when it is called for.

The gateway needs no artifacts: whether they are good is for the workers to find out, and what
none of them has is not offered, whatever the catalog says.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from jobs.queue import Registry
from jobs.reload_requests import ReloadRequests
from models.catalog import CATALOG_FILE, Catalog, CatalogRead, one_line_reason

log = logging.getLogger(__name__)

Read = Callable[[Catalog | None], CatalogRead]
"""Reads the folder, with what runs to stand in for what is broken; CatalogError if it cannot."""


class CatalogStore:
    """Holds the newest catalog whose entries are good. Raises CatalogError when made of none."""

    def __init__(self, read: Read) -> None:
        self._read = read
        reading = read(None)
        self.catalog = reading.catalog
        self.broken: Mapping[str, str] = reading.broken
        """Entries that could not be read, and why."""
        self.calls = ReloadRequests()
        self.reloads = 0
        """The number of the last call that was followed."""
        _log_broken(reading.broken)

    async def keep(self) -> None:
        """Follow every call, for ever."""
        while True:
            number = await self.calls.next()
            await self._reload()
            self.reloads = number

    async def listen(self, registry: Registry, period_s: float) -> None:
        """Hear of the calls to all, for ever."""
        while True:
            try:
                self.calls.observe(await registry.reloads())
            except Exception as error:  # told by the snapshots already, if it is an outage
                log.debug("cannot hear of calls to reload: %s", error)
            await asyncio.sleep(period_s)

    async def _reload(self) -> None:
        try:
            reading = await asyncio.to_thread(self._read, self.catalog)
        except Exception as error:  # whatever it is: what is served is to be served on
            log.error("the catalog cannot be read again, and stays as it is: %s", error)
            self.broken = {CATALOG_FILE: one_line_reason(error)}
            return
        self.catalog, self.broken = reading.catalog, reading.broken
        _log_broken(reading.broken)
        log.info("catalog read again: %s", ", ".join(reading.catalog.names))


def _log_broken(broken: Mapping[str, str]) -> None:
    for name, reason in broken.items():
        log.error("model %s is broken: %s", name, reason)
