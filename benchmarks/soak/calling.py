"""Requests to the service, and how their answers are judged."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx

from benchmarks.soak.asks import Ask
from benchmarks.soak.drawing import fault_of
from benchmarks.soak.outcomes import Fault, Refused
from models.geometry import output_size

ENDS = frozenset({"succeeded", "failed", "cancelled"})
BATCH_ENDS = frozenset({"finished", "cancelled"})
POLL_S = 0.5
PATIENCE_S = 600.0
"""Of a caller: longer than any budget, and than the callers are suspended."""
REFUSALS = frozenset({"budget_infeasible", "overloaded", "not_ready", "output_too_large"})
"""What the service may answer to a right request."""

Record = dict[str, Any]


class Service:
    """A running service, as its callers see it."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def send(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Return an answer that is none of an error. Raises Fault, Refused and httpx.HTTPError."""
        answer = await self._client.request(method, path, timeout=PATIENCE_S, **more)
        if answer.is_error:
            raise refusal_of(answer)
        return answer

    async def record(self, method: str, path: str, **more: Any) -> Record:
        """Return the JSON of an answer. Raises as `send` does."""
        return dict((await self.send(method, path, **more)).json())

    async def damaged(self, path: str, **more: Any) -> str:
        """Send what must be refused by what it is, or still be made into a picture."""
        answer = await self._client.post(path, timeout=PATIENCE_S, **more)
        if answer.is_success:
            return "fine"
        if answer.is_server_error:
            raise refusal_of(answer)
        return code_of(answer)

    async def changes(self, path: str) -> AsyncIterator[Record]:
        """Yield a job or batch at each of its changes, to its end."""
        async with self._client.stream("GET", f"{path}/events", timeout=PATIENCE_S) as answer:
            async for line in answer.aiter_lines():
                if line.startswith("data: "):
                    yield json.loads(line[6:])

    async def ended(self, path: str, ends: frozenset[str] = ENDS) -> Record:
        """Poll a job or batch until it has ended."""
        while True:
            found = await self.record("GET", path)
            if found["status"] in ends:
                return found
            await asyncio.sleep(POLL_S)


def judge_picture(ask: Ask, file: bytes, index: int = 0) -> None:
    """Raise Fault for anything but the picture that was asked for."""
    drawing = ask.drawings[index]
    sides = output_size(drawing.width, ask.scale), output_size(drawing.height, ask.scale)
    if fault := fault_of(file, *sides):
        raise Fault(fault)


def judge_end(job: Record) -> bool:
    """Return whether a job has ended late. Raises Fault for one without a picture."""
    if job["status"] != "succeeded":
        error = (job["error"] or {}).get("code", "no error")
        raise Fault(f"the job ended as {job['status']}: {error}")
    return bool(job["finished_ms"] > job["deadline_ms"])


def refusal_of(answer: httpx.Response) -> Exception:
    """Return what an error is: a refusal, or a fault."""
    code = code_of(answer)
    return Refused(code) if code in REFUSALS else Fault(f"status {answer.status_code}, {code}")


def code_of(answer: httpx.Response) -> str:
    """Return the code of an error, or else its status."""
    try:
        return str(answer.json()["code"])
    except (ValueError, KeyError, TypeError):
        return str(answer.status_code)
