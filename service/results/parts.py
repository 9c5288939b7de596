"""The pictures' ways out of a gateway, built from its settings."""

from __future__ import annotations

from collections.abc import Mapping

from jobs.errors import ResultNotAllowed
from jobs.queue import Submissions
from jobs.terms import ResultTarget
from service.metrics import GatewayMetrics
from service.outbound.addresses import AllowedAddresses, read_networks
from service.outbound.client import OutboundClient
from service.result_room import ResultRoom
from service.results.destinations import Destinations, Placed
from service.results.storing import ResultSender
from service.settings import GatewaySettings
from service.sources.buckets import Bucket
from service.sources.hosts import AllowedHosts

OFF = "This service puts no pictures at URLs; ANYSR_RESULT_HOSTS would name hosts that take them."


class Results:
    """Checks where callers want their pictures, and puts them there."""

    def __init__(
        self,
        submissions: Submissions,
        room: ResultRoom,
        settings: GatewaySettings,
        outbound: OutboundClient,
        buckets: Mapping[str, Bucket],
        stores: OutboundClient,
        metrics: GatewayMetrics,
    ) -> None:
        self.enabled = bool(settings.result_hosts) or any(b.write for b in buckets.values())
        """Whether there is any place that pictures may go to."""
        self.sender = ResultSender(
            *(submissions, room, outbound, buckets, stores, metrics),
            settings.result_timeout_seconds,
        )
        self._destinations = Destinations(
            buckets,
            AllowedHosts(settings.result_hosts, ResultNotAllowed, OFF),
            outbound,
            AllowedAddresses(read_networks(settings.outbound_allow_private)),
            ("https", "http") if settings.result_http else ("https",),
        )

    def target(self, wanted: Placed) -> ResultTarget | None:
        """Return where the picture of a request goes. Raises as `Destinations.target`."""
        return self._destinations.target(wanted)
