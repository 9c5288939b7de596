"""Client for the stores of buckets, whose addresses the operator names."""

from __future__ import annotations

from collections.abc import Mapping

import httpx

from service.outbound.addresses import AllowedAddresses, read_networks
from service.outbound.client import OutboundClient
from service.outbound.urls import port_of
from service.sources.buckets import Bucket

EVERYWHERE = ("0.0.0.0/0", "::/0")


def store_client(buckets: Mapping[str, Bucket]) -> OutboundClient:
    """Return a client that connects to any address: stores often have private ones."""
    ports = {port_of(httpx.URL(bucket.endpoint)) for bucket in buckets.values()}
    return OutboundClient(AllowedAddresses(read_networks(EVERYWHERE)), ports)
