"""A service that other machines reach without a key says so when it starts."""

from __future__ import annotations

from service.settings import GatewaySettings
from service.trusted_hosts import is_loopback


def exposed(settings: GatewaySettings) -> str | None:
    """Return the warning for a gateway that anyone may use who reaches it; None for one that has
    keys, or that this machine alone reaches."""
    if settings.keys is not None or is_loopback(settings.host):
        return None
    return (
        f"No keys are set: anyone who reaches {settings.host}:{settings.port} may use this "
        "service. Make keys with `anysr keys create NAME`, and set ANYSR_KEYS (docs/keys.md)."
    )
