"""How the number of workers follows a signal, as KEDA and Kubernetes' Horizontal Pod Autoscaler do.

Every `SCRAPE_MS` the signals are read, as Prometheus reads the gateways. Every `SYNC_MS` the
autoscaler wants as many workers as the signal has units of `target`, at least one; KEDA alone
starts the first worker and stops the last one. A worker is warm `start_ms` after it was wanted.

Source: https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/ and
https://keda.sh/docs/latest/reference/scaledobject-spec/.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

SCRAPE_MS = 5_000.0
"""Time between two readings of the signals: Prometheus' interval, and KEDA's polling interval."""
SYNC_MS = 15_000.0
"""Time between two decisions of the Horizontal Pod Autoscaler."""
TOLERANCE = 0.1
"""Part by which a signal may differ from its target without effect."""
STEP = 4
"""Workers that may be added at once; at most as many as there are, if those are more."""


class Signal(StrEnum):
    """What the number of workers follows."""

    BACKLOG = "backlog"
    """Seconds of waiting work, each picture at its cheapest, at the last reading."""
    RUNNING = "running"
    """Runs in progress, averaged over the window."""
    WANTED = "wanted"
    """Seconds of work a second, each requested picture at its best, over the window; requests
    that were refused count."""


class Reading(NamedTuple):
    """The signals at one moment."""

    at_ms: float
    backlog_s: float
    running: int
    wanted_s: float
    """Sum of all requests since the beginning."""


@dataclass(frozen=True)
class Autoscaler:
    """The rule by which the number of workers changes."""

    signal: Signal
    target: float
    """The signal that one worker is meant for, above 0."""
    start_ms: float
    """Time from the decision to a warm worker."""
    fewest: int = 1
    most: int = 10
    window_ms: float = 60_000.0
    """Time over which `RUNNING` and `WANTED` are averaged."""
    stabilisation_ms: float = 120_000.0
    """Workers are stopped only if they were not wanted for so long."""
    cooldown_ms: float = 120_000.0
    """The last worker is stopped after so long without any signal."""

    def value(self, readings: deque[Reading]) -> float:
        """Return the signal, by the readings of the window, oldest first."""
        newest = readings[-1]
        if self.signal is Signal.BACKLOG:
            return newest.backlog_s
        if self.signal is Signal.RUNNING:
            return sum(reading.running for reading in readings) / len(readings)
        first_ms, _, _, first_s = readings[0]
        passed_s = (newest.at_ms - first_ms) / 1e3
        return (newest.wanted_s - first_s) / passed_s if passed_s else 0.0

    def wish(self, value: float, replicas: int) -> int:
        """Return the number of workers for this signal, with `replicas` at present."""
        if replicas and abs(value / (self.target * replicas) - 1) <= TOLERANCE:
            return replicas
        wanted = math.ceil(value / self.target)
        return min(max(wanted, self.fewest, 1), self.most)


@dataclass
class Fleet:
    """The workers that an autoscaler has asked for, warm or starting, over time."""

    rule: Autoscaler
    replicas: int = field(init=False)
    """Workers that are asked for."""
    warm: int = field(init=False)
    """Those of them that are warm."""
    _starting: deque[float] = field(default_factory=deque, init=False)
    """When those that start are warm, soonest first."""
    _readings: deque[Reading] = field(default_factory=deque, init=False)
    _wishes: deque[tuple[float, int]] = field(default_factory=deque, init=False)
    _scrape_ms: float = field(default=0.0, init=False)
    _sync_ms: float = field(default=0.0, init=False)
    _active_ms: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self.replicas = self.warm = self.rule.fewest

    @property
    def starting(self) -> int:
        """Number of workers that are not warm yet."""
        return len(self._starting)

    @property
    def next_ms(self) -> float:
        """When `advance` is due."""
        return min(self._scrape_ms, self._starting[0] if self._starting else math.inf)

    def advance(self, reading: Reading) -> None:
        """Let time pass to a reading: workers become warm, signals are read, and decisions made."""
        now = reading.at_ms
        while self._starting and self._starting[0] <= now:
            self._starting.popleft()
            self.warm += 1
        if now >= self._scrape_ms:
            self._scrape_ms = now + SCRAPE_MS
            self._read(reading)
            self._decide(now)

    def _read(self, reading: Reading) -> None:
        self._readings.append(reading)
        while self._readings[0].at_ms < reading.at_ms - self.rule.window_ms:
            self._readings.popleft()

    def _decide(self, now: float) -> None:
        value = self.rule.value(self._readings)
        if value > 0:
            self._active_ms = now
        if not self.replicas:
            self._resize(now, 1 if value > 0 else 0)
        elif self.rule.fewest == 0 and now - self._active_ms >= self.rule.cooldown_ms:
            self._resize(now, 0)
        elif now >= self._sync_ms:
            self._sync_ms = now + SYNC_MS
            self._resize(now, self._stabilised(now, self.rule.wish(value, self.replicas)))

    def _stabilised(self, now: float, wish: int) -> int:
        """Return the largest wish of the recent past, within what may be added at once."""
        self._wishes.append((now, wish))
        while self._wishes[0][0] < now - self.rule.stabilisation_ms:
            self._wishes.popleft()
        if wish < self.replicas:
            wish = min(self.replicas, max(earlier for _, earlier in self._wishes))
        return min(wish, self.replicas + max(self.replicas, STEP))

    def _resize(self, now: float, replicas: int) -> None:
        """Ask for so many workers. Those that are not warm yet are the first to be stopped."""
        for _ in range(replicas - self.replicas):
            self._starting.append(now + self.rule.start_ms)
        for _ in range(self.replicas - replicas):
            if self._starting:
                self._starting.pop()
            else:
                self.warm -= 1
        self.replicas = replicas
