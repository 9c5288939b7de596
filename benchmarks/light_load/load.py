"""What one process of the load is given."""

from __future__ import annotations

from dataclasses import dataclass

from jobs.settings import QueueSettings


@dataclass(frozen=True)
class LightLoad:
    """Workers and gateways on one queue."""

    url: str
    namespace: str
    workers: int
    gateways: int
    run_s: float
    """Time of a run."""
    utilisation: float
    """Part of the workers' time that the jobs take, 0 to 1."""
    looks_s: float
    """Time between two looks of a running worker for urgent jobs; 0: none."""
    begins: float
    """When the load begins, by time.time(): after all have connected."""
    seconds: float
    shards: int = 1

    @property
    def queue_settings(self) -> QueueSettings:
        """Settings of the queue."""
        return QueueSettings(namespace=self.namespace, queue_shards=self.shards)

    @property
    def jobs_per_s(self) -> float:
        """Jobs that all gateways submit."""
        return self.workers * self.utilisation / self.run_s

    @property
    def ends(self) -> float:
        """When the load ends, by time.time()."""
        return self.begins + self.seconds
