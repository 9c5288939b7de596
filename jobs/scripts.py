"""The queue's Lua scripts: each is one atomic step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from importlib import resources
from typing import Any, Literal, get_args

from redis.exceptions import NoScriptError, ResponseError

from jobs.connection import Command, OnFirst, SteadyRedis, ignore
from jobs.declared_keys import declared
from jobs.durability import DurableCalls
from jobs.job import DeliveryKind
from jobs.keys import Keys

Step = Literal[
    "submit",
    "repeated",
    "record_done",
    "claim",
    "expected_end",
    "renew",
    "finish",
    "cancel",
    "release",
    "report_stopped",
    "stats",
    "allow",
    "charge",
    "refund",
    "claim_deliveries",
    "end_delivery",
    "dead_deliveries",
    "resend",
    "create_batch",
    "claim_batches",
    "update_batch",
    "cancel_batch",
]
STEPS: tuple[Step, ...] = get_args(Step)
SHARED = (
    *("common", "budget", "backlog", "lateness", "shares"),
    *("precedence", "repeats", "deliveries", "changes", "clients", "batches"),
)
"""Put before each step, in this order."""

Argument = str | bytes | float
StepCall = tuple[Step, Sequence[Argument]]
"""A step and its arguments."""


@cache
def _source(name: str) -> str:
    path = resources.files("jobs") / "lua" / f"{name}.lua"
    return path.read_text("utf-8")


@cache
def step_source(step: Step) -> str:
    """Return a step with what all share. It is made once, however many queues a process has."""
    return "\n".join((*(_source(f"shared/{name}") for name in SHARED), _source(step)))


class Scripts:
    """The scripts of one namespace on one server, loaded there at their first use.

    With `pictures_here` the uploaded pictures are on the same server, and the scripts manage them.
    """

    def __init__(
        self, client: SteadyRedis, keys: Keys, job_ttl_seconds: int, pictures_here: bool
    ) -> None:
        self._client = client
        self._steps = {step: client.register_script(step_source(step)) for step in STEPS}
        self._heartbeat = client.register_script(_source("heartbeat"))
        self._registry = client.register_script(_source("heartbeats"))
        self._names = [keys.pending, keys.leases, keys.wake, keys.tokens]
        self._names += [keys.ages, keys.entries, keys.slots, keys.sums, keys.ends]
        self._names += [keys.demand, keys.capabilities, keys.counts]
        self._names += [keys.deliveries, keys.delivery_hosts]
        self._names += [keys.dead_deliveries, keys.delivery_wake]
        self._names += [keys.active, keys.shares, keys.heads, keys.workers, keys.runs]
        kinds = DeliveryKind.RESULT, DeliveryKind.WEBHOOK
        self._names += [keys.waiting_deliveries(kind) for kind in kinds]
        self._shared: list[Argument] = [keys.records, keys.ended, keys.changes]
        self._shared += [keys.payloads if pictures_here else "", job_ttl_seconds]
        self._keys = keys

    async def run(self, step: Step, *arguments: Argument, client: str | None = None) -> Any:
        """Run one step. The head of its script describes its arguments and its answer. With a
        `client`, the keys of its counters and jobs follow those of every step."""
        names = self._names_for(step, arguments, client)
        return await self._steps[step](keys=names, args=[*self._shared, *arguments])

    async def run_on_batch(self, batch_id: str, step: Step, *arguments: Argument) -> Any:
        """Run one step on a batch, or on all of them (an empty id): the keys of its sources'
        URLs, of all batches and of the list of its sources follow those of every step."""
        names = self._names_of_batch(batch_id, step, arguments)
        return await self._steps[step](keys=names, args=[*self._shared, *arguments])

    async def run_after(
        self,
        before: Sequence[Command],
        step: Step,
        *arguments: Argument,
        on_first: OnFirst = ignore,
        client: str | None = None,
    ) -> Any:
        """Run one step just after other commands, in the same round trip. The step runs even if the
        last of them is refused, and must check for that itself; that command's error is raised
        then. `on_first` as for `SteadyRedis.together`; `client` as for `run`."""
        call = self._call(step, arguments, self._names_for(step, arguments, client))
        *others, answer = await self._client.together(*before, call, on_first=on_first)
        if others and isinstance(others[-1], ResponseError):
            raise others[-1]
        return await self._answer(answer, step, arguments, client)

    async def run_durably(
        self,
        calls: DurableCalls,
        before: Sequence[Command],
        step: Step,
        *arguments: Argument,
        client: str | None = None,
        batch_id: str | None = None,
    ) -> tuple[Any, bool]:
        """Run one step just after other commands, as `run_after` does, or on a batch. Return its
        answer, and whether all of it is on disk. Raises NotDurable before anything is sent."""
        if batch_id is None:
            names = self._names_for(step, arguments, client)
        else:
            names = self._names_of_batch(batch_id, step, arguments)
        call = self._call(step, arguments, names)
        (*others, answer), on_disk = await calls.together(*before, call)
        if isinstance(answer, NoScriptError):
            await self._client.script_load(self._steps[step].script)
            (*others, answer), on_disk = await calls.together(*before, call)
        for refused in (*others, answer):
            if isinstance(refused, ResponseError):
                raise refused
        return answer, on_disk

    async def run_both(
        self, before: Sequence[Command], first: StepCall, second: StepCall
    ) -> tuple[Any, Any]:
        """Run two steps just after other commands, in the same round trip. Either runs even if what
        comes before it is refused; the error of the last command, or of a step, is raised then. The
        second must do nothing before the first: a server that does not know the first one yet gets
        both again."""
        calls = (
            self._call(step, given, self._names_for(step, given)) for step, given in (first, second)
        )
        *others, one, two = await self._client.together(*before, *calls)
        if others and isinstance(others[-1], ResponseError):
            raise others[-1]
        if isinstance(one, NoScriptError):
            return await self.run(first[0], *first[1]), await self.run(second[0], *second[1])
        return await self._answer(one, *first), await self._answer(two, *second)

    def _call(self, step: Step, arguments: Sequence[Argument], names: Sequence[str]) -> Command:
        return ("EVALSHA", self._steps[step].sha, len(names), *names, *self._shared, *arguments)

    async def _answer(
        self, answer: Any, step: Step, arguments: Sequence[Argument], client: str | None = None
    ) -> Any:
        """Return a step's answer, or raise it. A server that does not know the script yet gets it
        now."""
        if isinstance(answer, NoScriptError):
            return await self.run(step, *arguments, client=client)
        if isinstance(answer, ResponseError):
            raise answer
        return answer

    def _names_for(
        self, step: Step, arguments: Sequence[Argument], client: str | None = None
    ) -> list[str]:
        keys = self._keys
        own = [] if client is None else [keys.client_counters(client), keys.client_jobs(client)]
        return [*self._names, *own, *declared(step, keys, arguments)]

    def _names_of_batch(
        self, batch_id: str, step: Step, arguments: Sequence[Argument]
    ) -> list[str]:
        keys = self._keys
        own = keys.batch_urls(batch_id), keys.batches, keys.batch_items(batch_id)
        return [*self._names, *own, *declared(step, keys, arguments)]

    async def first_start_in_ms(self) -> float | None:
        """Return in how many ms the most urgent waiting job must start, negative for an overdue
        one; None where none waits. Two plain commands take the server a fraction of a step."""
        first = "ZRANGE", self._keys.pending, 0, 0, "WITHSCORES"
        found, now = await self._client.together(first, ("TIME",))
        for answer in (found, now):
            if isinstance(answer, ResponseError):
                raise answer
        if not found:
            return None
        seconds, microseconds = now
        return float(found[1]) - int(seconds) * 1e3 - int(microseconds) / 1e3

    async def heartbeat(
        self, worker_id: str, data: bytes, ttl_ms: int, capabilities: Iterable[str]
    ) -> int:
        """Store a worker's heartbeat and capabilities; return the number of live workers."""
        names = [self._keys.heartbeat(worker_id), self._keys.workers, self._keys.capabilities]
        return int(await self._heartbeat(keys=names, args=[worker_id, data, ttl_ms, *capabilities]))

    async def heartbeats(self) -> list[bytes]:
        """Return the heartbeats of the live workers.

        Plain commands read them, because a script copies each twice. The script forgets workers
        that have died, where there are any, so that one that is just back is not forgotten.
        """
        ids: list[bytes] = await self._client.execute_command("SMEMBERS", self._keys.workers)
        prefix = self._keys.heartbeats.encode()
        names = [prefix + worker for worker in ids]
        found: list[Any] = await self._client.execute_command("MGET", *names) if names else []
        if None not in found:
            return found
        answer = await self._registry(keys=[self._keys.workers], args=[self._keys.heartbeats])
        return list(answer)
