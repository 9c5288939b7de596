"""Clients and their keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from jobs.client_limits import ClientLimits
from jobs.errors import ModelNotAllowed
from jobs.job import JobRequest


@dataclass(frozen=True)
class Client:
    """Who calls, and what it may do. All keys of a client share its limits."""

    limits: ClientLimits
    max_budget_ms: float | None = None
    """Largest latency budget; None for the service's own."""
    models: frozenset[str] | None = None
    """Models that it may name; None for all. Where a request names none, the service chooses."""
    share: int = 1
    """Its weight against other clients under load."""

    @property
    def name(self) -> str:
        return self.limits.client

    def largest_budget_ms(self, services_ms: float) -> float:
        """Return the largest budget of this client, where the service's is `services_ms`."""
        return services_ms if self.max_budget_ms is None else min(services_ms, self.max_budget_ms)

    def check_model(self, model: str | None) -> None:
        """Raise ModelNotAllowed for a model that this client may not name."""
        if model is None or self.models is None or model in self.models:
            return
        allowed = ", ".join(sorted(self.models)) or "none"
        raise ModelNotAllowed(
            f"The client {self.name} may not name the model {model}; it may name {allowed}, or "
            "leave the choice to the service."
        )

    def owning(self, job: JobRequest) -> JobRequest:
        """Return a job as this client's. Raises ModelNotAllowed."""
        self.check_model(job.model)
        return job if self is ANYONE else replace(job, client=self.name, share=self.share)


ANYONE = Client(ClientLimits(client=""))
"""Every caller of a gateway without keys."""


@dataclass(frozen=True)
class Key:
    """One key of a client: what is known of it, never its secret."""

    id: str
    digest: bytes
    """SHA-256 of the secret (`tokens.digest_of`)."""
    client: Client


@dataclass(frozen=True)
class KeyRing:
    """All keys of a gateway, by their id."""

    keys: Mapping[str, Key] = field(default_factory=dict)

    @property
    def clients(self) -> int:
        """How many clients have a key."""
        return len({key.client.name for key in self.keys.values()})
