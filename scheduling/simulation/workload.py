"""Workloads for the simulator: when requests come, what they ask for, how long they may take.

Everything is drawn from a seeded generator, so a workload is the same for every strategy and on
every machine.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

MOST_MS, MOST_SIDE, MOST_SCALE = 1e12, 100_000, 64
"""Largest times in ms, sides in pixels and scales of a trace: larger pictures have so many tiles
that counting them takes all memory."""


@dataclass(frozen=True)
class Kind:
    """Kind of request: input size in pixels, scale and output format."""

    width: int
    height: int
    scale: float
    output_format: str = "jpeg"


@dataclass(frozen=True)
class Workload:
    """Requests in the order of their arrival; in a closed loop, in the order of their turns.

    All arrays are (requests,).
    """

    arrival_ms: FloatArray
    """Time of arrival; for a request that waits for another's answer, the time after that."""
    budget_ms: FloatArray
    kind: NDArray[np.int64]
    """Index into `kinds`."""
    kinds: tuple[Kind, ...]
    after: NDArray[np.int64] | None = None
    """Index of the earlier request whose answer each request waits for; -1: none. None in an open
    loop, where no request waits for an answer."""
    patience_ms: FloatArray | None = None
    """Time after which each caller cancels; infinite: never. None: no caller ever cancels."""
    client: NDArray[np.int64] | None = None
    """Index into `weights` of each request's client; None: all are of one."""
    weights: tuple[float, ...] = (1.0,)
    """Weights of the clients against each other."""

    def __len__(self) -> int:
        return len(self.arrival_ms)


Arrivals = Callable[[int, float, np.random.Generator], FloatArray]
"""(number, mean rate per second, generator) -> times in ms, rising from 0."""


def poisson(count: int, rate: float, random: np.random.Generator) -> FloatArray:
    """Draw independent arrivals."""
    return np.cumsum(random.exponential(1e3 / rate, count))


def gamma(cv: float) -> Arrivals:
    """Return arrivals whose gaps have a coefficient of variation `cv`: 1 is Poisson, 4 bursty."""

    def draw(count: int, rate: float, random: np.random.Generator) -> FloatArray:
        shape = 1 / cv**2
        return np.cumsum(random.gamma(shape, 1e3 / rate / shape, count))

    return draw


def on_off(part_on: float = 0.2, period_s: float = 10.0) -> Arrivals:
    """Return arrivals that are Poisson in the first part `part_on` of each period, 0 to 1, and
    absent in the rest of it."""

    def draw(count: int, rate: float, random: np.random.Generator) -> FloatArray:
        busy = np.cumsum(random.exponential(1e3 * part_on / rate, count))
        on_ms = 1e3 * period_s * part_on
        return busy + np.floor(busy / on_ms) * (1e3 * period_s - on_ms)

    return draw


def day(spikes: int = 5, period_s: float = 600.0) -> Arrivals:
    """Return the arrivals of a day compressed into `period_s`: a sinusoid from a quarter to seven
    quarters of the mean rate, with `spikes` of four times the rate, each a hundredth of the day."""

    def draw(count: int, rate: float, random: np.random.Generator) -> FloatArray:
        peaks = random.uniform(0, period_s, spikes)
        highest = 7.0
        mean = _day_level(np.linspace(0, period_s, 100_000), period_s, peaks).mean()
        kept: list[FloatArray] = []
        time_s, found = 0.0, 0
        while found < count:  # thinning: draw at the highest rate, keep the part that is due
            times = time_s + np.cumsum(random.exponential(mean / (highest * rate), count))
            level = _day_level(times, period_s, peaks)
            times_kept = times[random.uniform(0, highest, count) < level]
            kept.append(times_kept)
            time_s, found = times[-1], found + len(times_kept)
        return 1e3 * np.concatenate(kept)[:count]

    return draw


def _day_level(time_s: FloatArray, period_s: float, peaks: FloatArray) -> FloatArray:
    """Return the rate at a time of day, between 1/4 and 7."""
    phase = time_s % period_s
    level = 1 - 0.75 * np.cos(2 * np.pi * phase / period_s)
    near = np.abs(phase[:, None] - peaks).min(1) < period_s / 200
    return np.where(near, 4 * level, level)


ARRIVALS: dict[str, Arrivals] = {
    "poisson": poisson,
    "gamma2": gamma(2),
    "gamma4": gamma(4),
    "gamma8": gamma(8),
    "on-off": on_off(),
    "day": day(),
}

MIXED: tuple[tuple[Kind, float], ...] = (
    (Kind(96, 96, 2.0), 0.30),
    (Kind(160, 120, 3.0), 0.25),
    (Kind(256, 192, 2.0), 0.20),
    (Kind(256, 256, 2.37), 0.15),
    (Kind(384, 288, 1.5), 0.10),
)
"""Thumbnails, listings and product shots, each with its part of all requests."""


def draw(
    count: int,
    rate: float,
    arrivals: Arrivals = poisson,
    mix: Sequence[tuple[Kind, float]] = MIXED,
    budgets_ms: tuple[float, float] = (300.0, 3000.0),
    seed: int = 1,
) -> Workload:
    """Draw a workload of `count` requests at a mean `rate` per second; budgets are uniform in
    their logarithm."""
    random = np.random.default_rng(seed)
    kinds = tuple(kind for kind, _ in mix)
    shares = np.array([share for _, share in mix])
    low, high = np.log(budgets_ms)
    return Workload(
        arrival_ms=arrivals(count, rate, random),
        budget_ms=np.exp(random.uniform(low, high, count)),
        kind=random.choice(len(kinds), count, p=shares / shares.sum()),
        kinds=kinds,
    )


def beside(workloads: Sequence[Workload], weights: Sequence[float]) -> Workload:
    """Return open-loop workloads of the same kinds of requests together, each of a client of its
    own with one of these weights."""
    arrival = np.concatenate([one.arrival_ms for one in workloads])
    order = np.argsort(arrival, kind="stable")
    client = np.repeat(np.arange(len(workloads)), [len(one) for one in workloads])
    return Workload(
        arrival_ms=arrival[order],
        budget_ms=np.concatenate([one.budget_ms for one in workloads])[order],
        kind=np.concatenate([one.kind for one in workloads])[order],
        kinds=workloads[0].kinds,
        client=client[order],
        weights=tuple(weights),
    )


def closed_loop(
    count: int,
    callers: int,
    think_ms: float,
    mix: Sequence[tuple[Kind, float]] = MIXED,
    budgets_ms: tuple[float, float] = (300.0, 3000.0),
    seed: int = 1,
) -> Workload:
    """Draw `count` requests of `callers` who take turns. Each sends its next request an exponential
    time of mean `think_ms` after it has the answer to the one before."""
    drawn = draw(count, 1.0, mix=mix, budgets_ms=budgets_ms, seed=seed)
    random = np.random.default_rng(seed + 1)
    return replace(
        drawn,
        arrival_ms=random.exponential(think_ms, count) if think_ms else np.zeros(count),
        after=np.maximum(np.arange(count) - callers, -1),
    )


def read_trace(path: Path, seed: int = 1) -> Workload:
    """Read a CSV with the header arrival_ms[,width,height,scale,budget_ms]; absent columns are
    drawn as in `draw`. Raises ValueError, which names the line, for any other file."""
    try:
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
    except csv.Error as error:
        raise ValueError(f"{path} is no table of comma-separated values: {error}") from error
    if not rows or "arrival_ms" not in rows[0]:
        raise ValueError(f"{path} needs a header with arrival_ms, and at least one row")
    drawn = draw(len(rows), 1.0, seed=seed)
    kinds: dict[Kind, int] = {}
    arrival, budget, kind = np.empty(len(rows)), drawn.budget_ms.copy(), drawn.kind.copy()
    for number, row in enumerate(rows):
        default = drawn.kinds[drawn.kind[number]]
        try:
            arrival[number] = _number(row, "arrival_ms", None, (-MOST_MS, MOST_MS))
            budget[number] = _number(row, "budget_ms", budget[number], (0, MOST_MS))
            own = Kind(
                int(_number(row, "width", default.width, (1, MOST_SIDE))),
                int(_number(row, "height", default.height, (1, MOST_SIDE))),
                _number(row, "scale", default.scale, (1, MOST_SCALE)),
            )
        except ValueError as error:
            raise ValueError(f"{path}, line {number + 2}: {error}") from error
        kind[number] = kinds.setdefault(own, len(kinds))
    order = np.argsort(arrival, kind="stable")
    first = arrival[order[0]]
    return Workload(arrival[order] - first, budget[order], kind[order], tuple(kinds))


def _number(
    row: Mapping[str, str | None], name: str, default: float | None, bounds: tuple[float, float]
) -> float:
    text = row.get(name)
    value = float(text) if text else default
    least, most = bounds
    if value is None or not least <= value <= most:
        shown = (text or "missing")[:40]
        raise ValueError(f"{name} is {shown}, not a number from {least:g} to {most:g}")
    return value
