"""The gateway's catalog, read again at each reload request.

The gateway reads no artifacts: workers verify them, and a model that no worker has is not offered,
whatever the catalog says.
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
"""Reads the folder; entries of the given catalog stand in for broken ones. Raises CatalogError."""


class CatalogStore:
    """Holds the newest catalog with valid entries. Raises CatalogError if the first read fails."""

    def __init__(self, read: Read) -> None:
        self._read = read
        first = read(None)
        self.catalog = first.catalog
        self.broken: Mapping[str, str] = first.broken
        """Entries that could not be read, with the reason."""
        self.reload_requests = ReloadRequests()
        self.reloads = 0
        """Number of the last reload request that was followed."""
        _log_broken(first.broken)

    async def follow_reload_requests(self) -> None:
        """Reload at every request, for ever."""
        while True:
            number = await self.reload_requests.next()
            await self._reload()
            self.reloads = number

    async def poll_reload_requests(self, registry: Registry, period_s: float) -> None:
        """Poll the queue for reload requests to all processes, for ever."""
        while True:
            try:
                self.reload_requests.observe(await registry.reloads())
            except Exception as error:  # an outage is in the log already, by the snapshots
                log.debug("reload requests cannot be polled: %s", error)
            await asyncio.sleep(period_s)

    async def _reload(self) -> None:
        try:
            newest = await asyncio.to_thread(self._read, self.catalog)
        except Exception as error:  # any failure leaves the current catalog in place
            log.error("the catalog cannot be read again, and stays as it is: %s", error)
            self.broken = {CATALOG_FILE: one_line_reason(error)}
            return
        self.catalog, self.broken = newest.catalog, newest.broken
        _log_broken(newest.broken)
        log.info("catalog read again: %s", ", ".join(newest.catalog.names))


def _log_broken(broken: Mapping[str, str]) -> None:
    for name, reason in broken.items():
        log.error("model %s is broken: %s", name, reason)
