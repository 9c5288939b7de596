"""Discrete-event simulation of a strategy on a workload; no clock, no queue, no network.

Decisions are made by the strategy's own code. A run takes its predicted cost, times a log-normal
deviation, times the worker's slowdown; the strategy sees the prediction alone. Where workers become
slower, each estimates its own slowdown, as a real worker's cost model does.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from jobs.backlog import Group
from scheduling.load import Load, below_part
from scheduling.options import Option, Options
from scheduling.policy import admit, late_ms
from scheduling.rungs import FLOOR
from scheduling.shares import goes_first, over_share_ms
from scheduling.simulation.autoscaling import Reading
from scheduling.simulation.clients import Clients
from scheduling.simulation.crew import Crew
from scheduling.simulation.machine import SimulatedWorkers
from scheduling.simulation.requests import Requests
from scheduling.simulation.result import SimulationResult
from scheduling.simulation.shard import LOOK_MS, SNAPSHOT_MS, Shard
from scheduling.simulation.strategies import Case, Strategy, batch_ms
from scheduling.simulation.workload import Workload

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
        self.best_ms = [table[-1].expected_ms for table in self.tables]
        self.strategy = strategy
        self.machine = machine
        self.requests = Requests(workload, self.tables)
        self.factor = machine.factors(len(workload)).tolist()
        self.delay = machine.delays(len(workload)).tolist()
        clients = (Clients(workload.weights) for _ in range(machine.shards))
        self.shards = [Shard(self.requests, one) for one in clients]
        self.shard_of = [0] * len(workload)
        self.choice = np.random.default_rng(machine.seed + 2_000_000)
        self.snapshot_ms = -math.inf
        self.steal_ms = math.inf
        """When an idle worker looks into other shards."""
        self.crew = Crew(machine, self.shards, self.tables)
        self.running: list[_RunInProgress] = []
        """A heap, by end."""
        self.result = SimulationResult(len(workload))
        self.busy_ms = self.wanted_ms = self.worker_ms = 0.0
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
            self.worker_ms += (first - now) * self.crew.paid
            now = first
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
            self.requests.next_cancellation_ms,
            self.requests.next_arrival_ms,
        )
        scaling = self.crew.fleet.next_ms if self.crew.fleet else math.inf
        if min(times) == math.inf and not self._can_still_scale(now):
            scaling = math.inf
        return (*times[:3], scaling, self.steal_ms, times[3])

    def _can_still_scale(self, now: float) -> bool:
        """Return whether jobs wait that a worker may still be started for in time."""
        waiting = any(shard.waiting for shard in self.shards)
        return self.crew.fleet is not None and waiting and now <= self.last_deadline_ms

    def _scale(self, now: float) -> None:
        """Show the signals to the autoscaler, and start and stop workers as it wants."""
        assert self.crew.fleet is not None
        (shard,) = self.shards
        running, wanted_s = len(self.running), self.wanted_ms / 1e3
        self.crew.fleet.advance(Reading(now, shard.backlog_ms / 1e3, running, wanted_s))
        shard.pass_time(now)
        self.crew.resize(run.worker for run in self.running)

    def _result(self) -> SimulationResult:
        result = self.result
        result.dropped += sum(len(shard.queued) for shard in self.shards)  # no worker is left
        result.db /= max(1, result.met)
        result.loss_db /= max(1, result.met)
        result.worker_ms = self.worker_ms
        result.busy = self.busy_ms / max(1e-9, self.worker_ms)
        result.arrival_ms = self.requests.arrival
        return result

    def _shard(self, job: int) -> Shard:
        return self.shards[self.shard_of[job]]

    def _load(self, now: float, job: int, free: int = 0) -> Load:
        """Return the load of a job's shard. There are at least so many workers that `free` are left
        beside its runs: those of other shards may work there."""
        shard = self._shard(job)
        running = self._ends_in(shard)
        groups, demand = shard.slots.groups(), shard.demand
        own = shard.clients.load(self.requests.client[job], now, demand)
        workers = max(shard.alive, 1, free + len(running))
        return Load(now, workers, running, groups, demand.rate, demand.slack_ms, own=own)

    def _ends_in(self, shard: Shard) -> list[float]:
        """Return the predicted ends of the runs of a shard's jobs."""
        if len(self.shards) == 1:
            return [run.predicted_end for run in self.running]
        return [r.predicted_end for r in self.running if self._shard(r.jobs[0]) is shard]

    def _arrive(self, now: float) -> None:
        job = self.requests.arrive()
        self.wanted_ms += self.best_ms[self.requests.kind[job]]
        self.last_deadline_ms = max(self.last_deadline_ms, now + self.requests.budget[job])
        if not self._accepts(now, job):
            self.result.refused += 1
            self.result.refused_of.add(job)
            self.requests.answered(now, job)
            return
        self._shard(job).arrive(now, job)
        self.requests.accepted(now, job)

    def _accepts(self, now: float, job: int) -> bool:
        """Return whether a shard accepts a request, and note which. Without a warm worker none
        does."""
        for number in self._shards_for(now):
            self.shard_of[job] = number
            shard = self.shards[number]
            shard.pass_time(now)
            shard.clients.sends(self.requests.client[job], now)
            there = shard.alive or not self.crew.fleet
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
        options, budget_ms = self.tables[self.requests.kind[job]], self.requests.budget[job]
        if not admit(options, budget_ms).feasible:
            return False
        load = self._load(now, job)
        beyond, late = over_share_ms(options, budget_ms, load), late_ms(options, budget_ms, load)
        return beyond <= 0 and late <= 0

    def _cancel(self, now: float) -> None:
        """Cancel a request if it has no answer yet; its run ends at once."""
        job = self.requests.cancel()
        running = next((run for run in self.running if job in run.jobs), None)
        shard = self._shard(job)
        if job not in shard.queued and running is None:
            return
        shard.pass_time(now)
        shard.withdraw(now, job)
        if job in shard.queued:
            shard.remove(job)
        elif running is not None:
            running.jobs.remove(job)
            if not running.jobs:
                self._interrupt(running, now)
                self.crew.free(running.worker)
        self.result.cancelled += 1
        self.requests.answered(now, job)

    def _interrupt(self, run: _RunInProgress, now: float) -> None:
        self.running.remove(run)
        heapq.heapify(self.running)
        self.busy_ms -= run.end - now

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

    def _claim(self, now: float, shard: Shard, home: Shard) -> None:
        """Let an idle worker of `home` claim the first job of a shard."""
        shard.pass_time(now)
        job = self._next(now, shard)
        if job is None:
            return
        shard.remove(job)
        slack = self.requests.deadline(job) - now
        if slack <= 0:
            self.result.dropped += 1
            self.requests.answered(now, job)
            return
        self._begin(now, job, slack, shard, home)

    def _begin(self, now: float, job: int, slack: float, shard: Shard, home: Shard) -> None:
        """Begin the run of a job, alone or in a batch."""
        kind, worker = self.requests.kind[job], home.idle[-1]
        load, same_kind = self._load(now, job, free=1), shard.waiting.get(kind, 0)
        case = Case(self.crew.options(kind, worker), slack, load, same_kind, worker)
        index, size = self.strategy.choose(case)
        home.idle.pop()
        jobs = [job, *shard.take_more(kind, size - 1)]
        option, gain = self.tables[kind][index], self.machine.batch_gain
        predicted = batch_ms(case.options[index].expected_ms, len(jobs), gain)
        factor = self.factor[job] * self.crew.slowdown[worker]
        actual = batch_ms(option.expected_ms, len(jobs), gain) * factor + self.delay[job]
        option, actual = self._rescued(case, option, max(actual, 1.0), factor)
        self.busy_ms += actual
        run = _RunInProgress(now + actual, worker, now + predicted, jobs, option, factor, now)
        heapq.heappush(self.running, run)

    def _next(self, now: float, shard: Shard) -> int | None:
        """Return the job to run: the first of a client below its part where it may go first, else
        the first of all. None where none waits any more."""
        first = shard.first_of(shard.pending)
        if first is None or len(shard.of_client) == 1:
            return first
        heads = (shard.first_of(heap) for heap in shard.of_client.values())
        waiting = (head for head in heads if head is not None)
        for job in sorted(waiting, key=self.requests.latest_start):
            load = self._load(now, job, free=1)
            if not below_part(load):
                continue
            own = Group(*self.requests.waits(job))
            return job if job == first or goes_first(own, load) else first
        return first

    def _rescued(
        self, case: Case, option: Option, actual: float, factor: float
    ) -> tuple[Option, float]:
        """Return the option that a run ends with, and its ms: an overdue run is resampled at the
        last moment at which that is safe, as by `workers.preemption`."""
        floor = case.options[0]
        rescued = self.strategy.rescues and floor.rung == FLOOR and option.rung != FLOOR
        if not rescued or actual <= case.slack_ms:
            return option, actual
        last_ms = max(option.expected_ms, case.slack_ms - floor.rescue_ms)
        if case.slack_ms - last_ms < floor.expected_ms:
            return option, actual
        return floor, last_ms + floor.expected_ms * factor

    def _end(self, now: float) -> None:
        run = heapq.heappop(self.running)
        self.crew.free(run.worker)
        self.crew.ran(run.worker, run.factor)
        rung, db = run.option.rung, run.option.db or 0.0
        name = rung.key
        self.result.rungs[name] = self.result.rungs.get(name, 0) + len(run.jobs)
        for job in run.jobs:
            client, run_ms = self.requests.client[job], (now - run.begun) / len(run.jobs)
            self._shard(job).clients.ran(client, run_ms, now)
            latency_ms, met = now - self.requests.arrival[job], now <= self.requests.deadline(job)
            self.strategy.ended(met)
            best_db = self.best[self.requests.kind[job]]
            self.result.answered(job, latency_ms, met, db, best_db - db)
            self.requests.answered(now, job)

    def _change(self, now: float) -> None:
        """Let a worker become slower or faster, die or come back; the jobs of one that dies wait
        again."""
        _, worker, slowdown = self.changes.pop(0)
        for shard in self.shards:
            shard.pass_time(now)
        if self.crew.change(worker, slowdown):
            (run,) = (r for r in self.running if r.worker == worker)
            self._interrupt(run, now)
            for job in run.jobs:
                self._shard(job).add(job)
