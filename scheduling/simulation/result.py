"""The outcome of a simulation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class SimulationResult:
    """How the requests of a workload ended, and how good the pictures are."""

    requests: int
    met: int = 0
    late: int = 0
    refused: int = 0
    dropped: int = 0
    """Never run: the deadline had passed or no worker was left."""
    cancelled: int = 0
    """Cancelled by their callers before there was an answer."""
    db: float = 0.0
    """Mean quality of the pictures in time, in dB."""
    loss_db: float = 0.0
    """Mean of what these pictures lose against their widest network, in dB."""
    rungs: dict[str, int] = field(default_factory=dict)
    """Number of pictures by "model@width"."""
    busy: float = 0.0
    """Part of the worker time that was used, 0 to 1."""
    worker_ms: float = 0.0
    """Time of all workers, used or not, from their start to their stop."""
    arrival_ms: list[float] = field(default_factory=list)
    """When each request came; in a closed loop this follows from the answers."""
    db_of: dict[int, float] = field(default_factory=dict)
    """Quality of each picture in time, by request, in dB."""
    latency_of: dict[int, float] = field(default_factory=dict)
    """Time from arrival to the end of the run of each picture, by request, in ms."""
    refused_of: set[int] = field(default_factory=set)
    """The requests that were refused."""

    @property
    def attainment(self) -> float:
        """Part of all requests in time, 0 to 1."""
        return self.met / self.requests

    @property
    def admitted_attainment(self) -> float:
        """Part of the admitted requests in time, 0 to 1."""
        return self.met / max(1, self.requests - self.refused)

    def answered(self, job: int, latency_ms: float, met: bool, db: float, lost_db: float) -> None:
        """Count a picture; until the end of the simulation `db` and `loss_db` are sums."""
        self.latency_of[job] = latency_ms
        if met:
            self.met += 1
            self.db_of[job] = db
            self.db += db
            self.loss_db += lost_db
        else:
            self.late += 1

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready form; counts but `requests` become parts of all requests."""
        return {
            "requests": self.requests,
            "attainment": self.attainment,
            "admitted_attainment": self.admitted_attainment,
            "refused": self.refused / self.requests,
            "late": self.late / self.requests,
            "dropped": self.dropped / self.requests,
            "cancelled": self.cancelled / self.requests,
            "mean_db": self.db,
            "loss_db": self.loss_db,
            "busy": self.busy,
            "worker_hours": self.worker_ms / 3.6e6,
            "rungs": {k: v / self.requests for k, v in sorted(self.rungs.items())},
        }
