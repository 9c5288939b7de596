"""Discrete-event simulation of a strategy on a workload; no clock, no queue, no network.

Decisions are made by the strategy's own code. A run takes its predicted cost, times a log-normal
deviation, times the worker's slowdown; the strategy sees the prediction alone. Where workers become
slower, each estimates its own slowdown, as a real worker's cost model does.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jobs.backlog import Group
from scheduling.load import DEMAND_MS, Load, below_part
from scheduling.options import Option, Options, narrowest_network
from scheduling.policy import admit, late_ms
from scheduling.rungs import FLOOR
from scheduling.shares import goes_first, over_share_ms
from scheduling.simulation.autoscaling import Autoscaler, Fleet, Reading
from scheduling.simulation.clients import Clients
from scheduling.simulation.shard import LOOK_MS, SNAPSHOT_MS, Shard
from scheduling.simulation.strategies import BATCH_GAIN, Case, Strategy, batch_ms
from scheduling.simulation.workload import Workload
from scheduling.slowdown import LEAST_GAIN, MOST_STEP


@dataclass(frozen=True)
class SimulatedWorkers:
    """The workers of a simulation, and when they become slower, die or come back."""

    workers: int = 4
    deviation: float = 0.1
    """Standard deviation of the logarithm of actual / predicted."""
    delay_ms: float = 0.0
    """Mean delay of a run by what else the machine does, in ms; drawn from the exponential
    distribution. Predictions contain the mean."""
    batch_gain: float = BATCH_GAIN
    seed: int = 2
    slow: Sequence[tuple[float, int, float]] = ()
    """(time in ms, worker, slowdown from its next run on). With an infinite slowdown the worker
    dies at once and its job runs again; with a finite one after that it comes back."""
    shards: int = 1
    """Queues among which jobs and workers are divided (`simulation.shard`); at most `workers`."""
    autoscaler: Autoscaler | None = None
    """Starts and stops workers, which then neither slow down nor die; `workers` is not used."""

    def __post_init__(self) -> None:
        if self.autoscaler and self.slow:
            raise ValueError("workers that are started and stopped cannot slow down or die")
        if not 1 <= self.shards <= (1 if self.autoscaler else self.workers):
            raise ValueError("each shard needs a worker of its own that stays")

    def factors(self, count: int) -> NDArray[np.float64]:
        """Return (count,) ratios of actual to predicted cost on a worker at full speed."""
        random = np.random.default_rng(self.seed)
        factors: NDArray[np.float64] = np.exp(random.normal(0, self.deviation, count))
        return factors

    def delays(self, count: int) -> NDArray[np.float64]:
        """Return (count,) ms by which the delay of a run differs from the mean."""
        random = np.random.default_rng(self.seed + 1_000_000)
        delays: NDArray[np.float64] = random.exponential(self.delay_ms, count) - self.delay_ms
        return delays


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


OnProgress = Callable[[int], None]
"""Called with the number of requests that have come."""
PROGRESS_EVERY = 1000


def simulate(
    workload: Workload,
    tables: Sequence[Options],
    strategy: Strategy,
    machine: SimulatedWorkers,
    on_progress: OnProgress = lambda count: None,
    best: Sequence[Options] | None = None,
) -> SimulationResult:
    """Run a workload to its end.

    `tables` holds the options of each kind of request, cheapest first. Losses are counted against
    the widest options of `best`, by default of `tables`.
    """
    return _Simulation(workload, tables, strategy, machine, best or tables).run(on_progress)


class _RunInProgress(NamedTuple):
    """A run of one job, or of a batch."""

    end: float
    worker: int
    predicted_end: float
    jobs: list[int]
    option: Option
    factor: float
    """Actual over predicted cost, without the slowdown that the worker had estimated."""
    begun: float
    """Time of its start."""


class _Simulation:
    def __init__(
        self,
        workload: Workload,
        tables: Sequence[Options],
        strategy: Strategy,
        machine: SimulatedWorkers,
        best: Sequence[Options],
    ) -> None:
        self.tables = [strategy.offered(table) for table in tables]
        self.best = [table[-1].db or 0.0 for table in best]
        self.strategy = strategy
        self.machine = machine
        self.arrival = workload.arrival_ms.tolist()
        self.patience = None if workload.patience_ms is None else workload.patience_ms.tolist()
        self.next: dict[int, int] = {}
        """By request, the one that is sent after its answer."""
        self.arrivals = self._first(workload)
        """Heap of (time, request) whose time of arrival is known."""
        self.cancellations: list[tuple[float, int]] = []
        """Heap of (time, request): when a caller cancels unless it has its answer."""
        self.budget = workload.budget_ms.tolist()
        self.kind = workload.kind.tolist()
        self.factor = machine.factors(len(workload)).tolist()
        self.delay = machine.delays(len(workload)).tolist()
        self.cheapest = [t[0].safe_ms for t in self.tables]
        self.network = [narrowest_network(t).expected_ms for t in self.tables]
        none = np.zeros(len(workload), dtype=np.int64)
        self.client = (none if workload.client is None else workload.client).tolist()
        self.shards = [Shard(Clients(workload.weights)) for _ in range(machine.shards)]
        self.shard_of = [0] * len(workload)
        self.choice = np.random.default_rng(machine.seed + 2_000_000)
        self.snapshot_ms = -math.inf
        self.steal_ms = math.inf
        """When an idle worker looks into other shards."""
        self.queued = bytearray(len(workload))
        self.fleet = Fleet(machine.autoscaler) if machine.autoscaler else None
        there = self.fleet.warm if self.fleet else machine.workers
        # Twice as many, because those that stop finish their runs.
        most = 2 * self.fleet.rule.most if self.fleet else machine.workers
        for worker in range(there):
            self._home(worker).alive += 1
            self._home(worker).idle.append(worker)
        self.absent = list(range(there, most))
        """Workers that do not exist now."""
        self.stopping: set[int] = set()
        """Workers that stop after their run."""
        self.actual_slowdown = [1.0] * most
        self.estimated_slowdown = [1.0] * most
        self.slowed: dict[tuple[int, int], Options] = {}
        self.running: list[_RunInProgress] = []
        """A heap, by end."""
        self.counted: set[int] = set()
        """Requests that came while others waited, which the demand of their shard counts."""
        self.result = SimulationResult(len(workload))
        self.total_db = self.total_loss = self.busy_ms = 0.0
        self.best_ms = [table[-1].expected_ms for table in self.tables]
        self.wanted_ms = self.worker_ms = 0.0
        self.last_deadline_ms = 0.0
        self.changes = sorted(machine.slow)
        self.came = 0

    def run(self, on_progress: OnProgress) -> SimulationResult:
        handle = (self._end, self._change, self._cancel, self._scale, self._steal, self._arrive)
        now = 0.0
        while True:
            times = self._times(now)
            first = min(times)
            if first == math.inf:
                return self._result()
            now = self._pass_time(now, first)
            number = times.index(first)
            handle[number](now)
            self._claim_all(now)
            if handle[number] == self._arrive:
                self.came += 1
                if self.came % PROGRESS_EVERY == 0:
                    on_progress(self.came)

    def _times(self, now: float) -> tuple[float, ...]:
        """Return when the next event of each kind is; the first kind goes first."""
        times = (
            self.running[0].end if self.running else math.inf,
            self.changes[0][0] if self.changes else math.inf,
            self.cancellations[0][0] if self.cancellations else math.inf,
            self.arrivals[0][0] if self.arrivals else math.inf,
        )
        scaling = self.fleet.next_ms if self.fleet else math.inf
        if min(times) == math.inf and not self._can_still_scale(now):
            scaling = math.inf
        return (*times[:3], scaling, self.steal_ms, times[3])

    def _pass_time(self, now: float, to: float) -> float:
        """Count the time of all workers up to a moment, and return it."""
        there = self.fleet.replicas + len(self.stopping) if self.fleet else self.machine.workers
        self.worker_ms += (to - now) * there
        return to

    def _claim_all(self, now: float) -> None:
        for shard in self.shards:
            while shard.idle and shard.pending:
                self._claim(now, shard, shard)
        if len(self.shards) > 1 and self.steal_ms == math.inf:
            idle = sum(len(shard.idle) for shard in self.shards)
            if idle and any(shard.waiting for shard in self.shards):
                # They look in turn: the first of n about an n-th of the time from now.
                self.steal_ms = now + LOOK_MS / (idle + 1)

    def _steal(self, now: float) -> None:
        """Let an idle worker, if there is one, claim in the shard with most waiting work."""
        self.steal_ms = math.inf
        source = max(self.shards, key=lambda shard: shard.backlog_ms)
        home = max(self.shards, key=lambda shard: len(shard.idle))
        if home.idle and source.waiting:
            self._claim(now, source, home)

    def _home(self, worker: int) -> Shard:
        return self.shards[worker % len(self.shards)]

    def _shard(self, job: int) -> Shard:
        return self.shards[self.shard_of[job]]

    def _can_still_scale(self, now: float) -> bool:
        """Return whether jobs wait that a worker may still be started for in time."""
        waiting = any(shard.waiting for shard in self.shards)
        return self.fleet is not None and waiting and now <= self.last_deadline_ms

    def _scale(self, now: float) -> None:
        """Show the signals to the autoscaler, and start and stop workers as it wants."""
        assert self.fleet is not None
        fleet = self.fleet
        (shard,) = self.shards
        running, wanted_s = len(self.running), self.wanted_ms / 1e3
        fleet.advance(Reading(now, shard.backlog_ms / 1e3, running, wanted_s))
        shard.demand.pass_time(now, bool(shard.waiting))
        for _ in range(fleet.warm - shard.alive):
            shard.idle.append(self.absent.pop())
        for _ in range(shard.alive - fleet.warm):
            self._stop_one(shard)
        shard.alive = fleet.warm

    def _stop_one(self, shard: Shard) -> None:
        """Stop an idle worker, or else one after its run."""
        if shard.idle:
            self.absent.append(shard.idle.pop())
        else:
            working = (run.worker for run in self.running if run.worker not in self.stopping)
            self.stopping.add(next(working))

    def _free(self, worker: int) -> None:
        """Note that a worker's run has ended."""
        if worker in self.stopping:
            self.stopping.remove(worker)
            self.absent.append(worker)
        else:
            self._home(worker).idle.append(worker)

    def _result(self) -> SimulationResult:
        result = self.result
        result.dropped += sum(self.queued)  # no worker is left for these
        result.db = self.total_db / max(1, result.met)
        result.loss_db = self.total_loss / max(1, result.met)
        result.worker_ms = self.worker_ms
        result.busy = self.busy_ms / max(1e-9, self.worker_ms)
        result.arrival_ms = self.arrival
        return result

    def _first(self, workload: Workload) -> list[tuple[float, int]]:
        """Return the arrivals that wait for no answer, and fill `next`."""
        if workload.after is None:
            return sorted((at, job) for job, at in enumerate(self.arrival))
        for job, before in enumerate(workload.after.tolist()):
            if before >= 0:
                self.next[before] = job
        first = set(range(len(workload))) - set(self.next.values())
        return sorted((self.arrival[job], job) for job in first)

    def _answered(self, now: float, job: int) -> None:
        """Schedule the next request of the same caller, if there is one."""
        following = self.next.get(job)
        if following is not None:
            self.arrival[following] += now
            heapq.heappush(self.arrivals, (self.arrival[following], following))

    def _load(self, now: float, job: int, free: int = 0) -> Load:
        """Return the load of a job's shard. There are at least so many workers that `free` are left
        beside its runs: those of other shards may work there."""
        shard = self._shard(job)
        running = self._ends_in(shard)
        groups, demand = shard.slots.groups(), shard.demand
        own = shard.clients.load(self.client[job], now, demand)
        workers = max(shard.alive, 1, free + len(running))
        return Load(now, workers, running, groups, demand.rate, demand.slack_ms, own=own)

    def _ends_in(self, shard: Shard) -> list[float]:
        """Return the predicted ends of the runs of a shard's jobs."""
        if len(self.shards) == 1:
            return [run.predicted_end for run in self.running]
        return [r.predicted_end for r in self.running if self._shard(r.jobs[0]) is shard]

    def _arrive(self, now: float) -> None:
        _, job = heapq.heappop(self.arrivals)
        kind = self.kind[job]
        self.wanted_ms += self.best_ms[kind]
        self.last_deadline_ms = max(self.last_deadline_ms, now + self.budget[job])
        if not self._accepts(now, job):
            self.result.refused += 1
            self.result.refused_of.add(job)
            self._answered(now, job)
            return
        shard = self._shard(job)
        if shard.waiting:
            shard.demand.add(self.network[kind], self._slack(job))
            shard.clients.add(self.client[job], self.network[kind], now)
            self.counted.add(job)
        self._enqueue(job)
        if self.patience is not None and self.patience[job] < float("inf"):
            heapq.heappush(self.cancellations, (now + self.patience[job], job))

    def _accepts(self, now: float, job: int) -> bool:
        """Return whether a shard accepts a request, and note which. Without a warm worker none
        does."""
        for number in self._shards_for(now):
            self.shard_of[job] = number
            shard = self.shards[number]
            shard.demand.pass_time(now, bool(shard.waiting))
            shard.clients.sends(self.client[job], now)
            there = shard.alive or not self.fleet
            if there and (not self.strategy.admission or self._admit(now, job)):
                return True
        return False

    def _shards_for(self, now: float) -> Sequence[int]:
        """Return two random shards, the better one first."""
        if len(self.shards) == 1:
            return (0,)
        if now >= self.snapshot_ms + SNAPSHOT_MS:
            self.snapshot_ms = now
            for shard in self.shards:
                shard.see(now, self._ends_in(shard))
        two = self.choice.choice(len(self.shards), 2, replace=False).tolist()
        return sorted(two, key=lambda number: self.shards[number].seen_s)

    def _admit(self, now: float, job: int) -> bool:
        """Decide as gateway and queue do."""
        options, budget_ms = self.tables[self.kind[job]], self.budget[job]
        if not admit(options, budget_ms).feasible:
            return False
        load = self._load(now, job)
        beyond, late = over_share_ms(options, budget_ms, load), late_ms(options, budget_ms, load)
        return beyond <= 0 and late <= 0

    def _latest_start(self, job: int) -> float:
        start: float = self.arrival[job] + self.budget[job] - self.cheapest[self.kind[job]]
        return start

    def _slack(self, job: int) -> float:
        """Return the ms that a request can wait with its narrowest network still in time."""
        slack: float = self.budget[job] - self.network[self.kind[job]]
        return max(1.0, slack)

    def _cancel(self, now: float) -> None:
        """Cancel a request if it has no answer yet; its run ends at once."""
        _, job = heapq.heappop(self.cancellations)
        running = next((run for run in self.running if job in run.jobs), None)
        if not self.queued[job] and running is None:
            return
        shard = self._shard(job)
        shard.demand.pass_time(now, bool(shard.waiting))
        if job in self.counted:
            shard.demand.withdraw(
                self.network[self.kind[job]], self._slack(job), now - self.arrival[job]
            )
            fade = math.exp((self.arrival[job] - now) / DEMAND_MS)
            shard.clients.add(self.client[job], -self.network[self.kind[job]] * fade, now)
        if self.queued[job]:
            self._dequeue(job)
        elif running is not None:
            running.jobs.remove(job)
            if not running.jobs:
                self._interrupt(running, now)
                self._free(running.worker)
        self.result.cancelled += 1
        self._answered(now, job)

    def _interrupt(self, run: _RunInProgress, now: float) -> None:
        self.running.remove(run)
        heapq.heapify(self.running)
        self.busy_ms -= run.end - now

    def _waits(self, job: int) -> tuple[float, float, float]:
        """Return latest start, cheapest cost and that of the narrowest network."""
        kind = self.kind[job]
        return self._latest_start(job), self.cheapest[kind], self.network[kind]

    def _enqueue(self, job: int) -> None:
        self._shard(job).add(job, self.kind[job], self._waits(job), self.client[job])
        self.queued[job] = 1

    def _dequeue(self, job: int) -> None:
        self._shard(job).remove(self.kind[job], self._waits(job), self.client[job])
        self.queued[job] = 0

    def _claim(self, now: float, shard: Shard, home: Shard) -> None:
        """Let an idle worker of `home` claim the first job of a shard."""
        shard.demand.pass_time(now, bool(shard.waiting))
        job = self._next(now, shard)
        if job is None:
            return
        self._dequeue(job)
        slack = self.arrival[job] + self.budget[job] - now
        if slack <= 0:
            self.result.dropped += 1
            self._answered(now, job)
            return
        kind = self.kind[job]
        worker = home.idle[-1]
        load, same_kind = self._load(now, job, free=1), shard.waiting.get(kind, 0)
        case = Case(self._options(kind, worker), slack, load, same_kind)
        index, size = self.strategy.choose(case)
        home.idle.pop()
        jobs = [job, *self._more(shard, kind, size - 1)]
        option, gain = self.tables[kind][index], self.machine.batch_gain
        predicted = batch_ms(case.options[index].expected_ms, len(jobs), gain)
        factor = self.factor[job] * self.actual_slowdown[worker]
        actual = batch_ms(option.expected_ms, len(jobs), gain) * factor + self.delay[job]
        option, actual = self._rescued(case, option, max(actual, 1.0), factor)
        self.busy_ms += actual
        run = _RunInProgress(now + actual, worker, now + predicted, jobs, option, factor, now)
        heapq.heappush(self.running, run)

    def _next(self, now: float, shard: Shard) -> int | None:
        """Return the job to run: the first of a client below its part where it may go first, else
        the first of all. None where none waits any more."""
        first = self._first_of(shard.pending)
        if first is None or len(shard.of_client) == 1:
            return first
        heads = (self._first_of(heap) for heap in shard.of_client.values())
        for job in sorted((h for h in heads if h is not None), key=self._latest_start):
            load = self._load(now, job, free=1)
            if not below_part(load):
                continue
            own = Group(*self._waits(job))
            return job if job == first or goes_first(own, load) else first
        return first

    def _first_of(self, heap: list[tuple[float, int]]) -> int | None:
        """Return the waiting job with the earliest latest start; jobs that ran in a batch, before
        others, or were cancelled are dropped."""
        while heap and not self.queued[heap[0][1]]:
            heapq.heappop(heap)
        return heap[0][1] if heap else None

    def _rescued(
        self, case: Case, option: Option, actual: float, factor: float
    ) -> tuple[Option, float]:
        """Return the option that a run ends with, and its ms: an overdue run of the narrowest
        network is resampled at the last moment at which that is safe, as by `workers.preemption`.
        """
        floor, network = case.options[0], narrowest_network(case.options)
        narrowest = option.rung == network.rung and floor.rung == FLOOR
        if not (self.strategy.rescues and narrowest and actual > case.slack_ms):
            return option, actual
        last_ms = max(network.expected_ms, case.slack_ms - floor.safe_ms)
        if case.slack_ms - last_ms < floor.expected_ms:
            return option, actual
        return floor, last_ms + floor.expected_ms * factor

    def _options(self, kind: int, worker: int) -> Options:
        """Return a kind's options with costs times the slowdown that this worker estimates."""
        if self.estimated_slowdown[worker] == 1.0:
            return self.tables[kind]
        level = round(8 * math.log2(self.estimated_slowdown[worker]))
        if (kind, level) not in self.slowed:
            slowdown = 2 ** (level / 8)
            self.slowed[kind, level] = tuple(
                replace(o, expected_ms=o.expected_ms * slowdown, safe_ms=o.safe_ms * slowdown)
                for o in self.tables[kind]
            )
        return self.slowed[kind, level]

    def _more(self, shard: Shard, kind: int, count: int) -> list[int]:
        """Dequeue up to `count` more jobs of a kind, the longest waiting first."""
        jobs: list[int] = []
        queue = shard.same_kind[kind]
        while len(jobs) < count and queue:
            job = queue.popleft()
            if self.queued[job]:
                self._dequeue(job)
                jobs.append(job)
        return jobs

    def _end(self, now: float) -> None:
        run = heapq.heappop(self.running)
        self._free(run.worker)
        if self.machine.slow:
            slowdown = self.estimated_slowdown[run.worker]
            bounded = min(max(run.factor, slowdown / MOST_STEP), slowdown * MOST_STEP)
            self.estimated_slowdown[run.worker] = slowdown + LEAST_GAIN * (bounded - slowdown)
        rung, db = run.option.rung, run.option.db or 0.0
        name = rung.key
        self.result.rungs[name] = self.result.rungs.get(name, 0) + len(run.jobs)
        for job in run.jobs:
            self._shard(job).clients.ran(self.client[job], (now - run.begun) / len(run.jobs), now)
            met = now <= self.arrival[job] + self.budget[job]
            self.strategy.ended(met)
            self.result.latency_of[job] = now - self.arrival[job]
            if met:
                self.result.met += 1
                self.result.db_of[job] = db
                self.total_db += db
                self.total_loss += self.best[self.kind[job]] - db
            else:
                self.result.late += 1
            self._answered(now, job)

    def _change(self, now: float) -> None:
        """Change a worker's slowdown from its next run on; infinite: it dies, finite again: it
        comes back, calibrated at its warm-up."""
        _, worker, slowdown = self.changes.pop(0)
        for shard in self.shards:
            shard.demand.pass_time(now, bool(shard.waiting))
        home = self._home(worker)
        was_dead = math.isinf(self.actual_slowdown[worker])
        self.actual_slowdown[worker] = slowdown
        if math.isinf(slowdown) and not was_dead:
            home.alive -= 1
            if worker in home.idle:
                home.idle.remove(worker)
                return
            (run,) = (r for r in self.running if r.worker == worker)
            self._interrupt(run, now)
            for job in run.jobs:
                self._enqueue(job)
        elif was_dead and not math.isinf(slowdown):
            home.alive += 1
            self.estimated_slowdown[worker] = slowdown
            home.idle.append(worker)
