"""Starts the callers one after the other, as the plan and the pace allow, and notes what becomes of
each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import httpx

from benchmarks.soak.asks import Ask
from benchmarks.soak.callers import Callers
from benchmarks.soak.outcomes import Fault, Outcome, OutcomeFile, Refused
from benchmarks.soak.pace import LOOK_S, Pace
from benchmarks.soak.plan import Phase, Plan

AT_ONCE = 6
"""Callers at once."""


class Load:
    """The callers of a run."""

    def __init__(
        self,
        plan: Plan,
        now: Callable[[], float],
        callers: Callers,
        pace: Pace,
        outcomes: OutcomeFile,
    ) -> None:
        self._plan = plan
        self._now = now
        self._callers = callers
        self._pace = pace
        self._outcomes = outcomes
        self._free = asyncio.Semaphore(AT_ONCE)
        self.seen = 0
        """Requests that were seen through."""

    async def run(self, asks: Iterator[Ask]) -> None:
        """Send requests outside of rests, until the end of the plan."""
        async with asyncio.TaskGroup() as group:
            while self._now() < self._plan.seconds:
                await self._pace.wait()
                if self._plan.phase_at(self._now()) is not Phase.LOAD:
                    await asyncio.sleep(LOOK_S)
                    continue
                await self._free.acquire()
                group.create_task(self._see_through(next(asks)))

    async def _see_through(self, ask: Ask) -> None:
        began = self._now()
        late, fault = False, False
        try:
            late, result = await self._callers.see_through(ask), "fine"
        except Refused as refusal:
            result = str(refusal)
        except Fault as found:
            result, fault = str(found), True
        except (httpx.HTTPError, ValueError, LookupError, TypeError) as error:
            result, fault = f"{type(error).__name__}: {error}", True
        finally:
            self._free.release()
        self.seen += 1
        ended = self._now()
        self._outcomes.add(Outcome(ask.number, ask.way, began, ended, result, fault, late))
