"""Callers of every kind: each sees one request through, and tells what became of it."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import httpx

from benchmarks.soak.asks import Ask, Way
from benchmarks.soak.batch_callers import BatchCallers
from benchmarks.soak.calling import Record, Service, judge_end, judge_picture
from benchmarks.soak.drawing import damaged, file_of
from benchmarks.soak.neighbour import HOOK, Neighbour
from benchmarks.soak.outcomes import Fault

PAGES = ("/", "/docs", "/metrics", "/health/live", "/models", "/openapi.json", "/v2/models/anysr")
NUMBERS = ("scale", "latency_budget_ms")
"""Parameters that the protocol writes as numbers."""
OCTETS = {"Content-Type": "application/octet-stream"}
ARRIVAL_S, ARRIVAL_POLL_S = 120.0, 0.2
"""How long a webhook or a picture is waited for after the end of its job."""

Seen = Callable[[Ask, bytes], Awaitable[bool]]
"""Sees one request through, and returns whether its job was late."""


class Callers:
    """All kinds of callers of one service. `run` tells the seed of the run, so that no idempotency
    key of an earlier one is used again."""

    def __init__(self, client: httpx.AsyncClient, neighbour: Neighbour, run: str) -> None:
        self._client = client
        self._service = Service(client)
        self._neighbour = neighbour
        self._run = run
        batches = BatchCallers(self._service, neighbour)
        self._ways: Mapping[Way, Seen] = {
            Way.BODY: self._body,
            Way.FORM: self._form,
            Way.AGAIN: self._again,
            Way.REPEAT: self._repeat,
            Way.LEAVE: self._leave,
            Way.POLL: self._poll,
            Way.EVENTS: self._events,
            Way.CANCEL: self._cancel,
            Way.WEBHOOK: self._webhook,
            Way.DELIVERY: self._delivery,
            Way.ADDRESS: self._address,
            Way.INFERENCE: self._inference,
            Way.BATCH: batches.finished,
            Way.WITHDRAWN_BATCH: batches.withdrawn,
            Way.DAMAGED: self._damaged,
            Way.PAGES: self._pages,
        }

    async def see_through(self, ask: Ask) -> bool:
        """Return whether the job of a request was late. Raises Fault, Refused, httpx.HTTPError."""
        picture = await asyncio.to_thread(file_of, ask.drawing)
        return await self._ways[ask.way](ask, picture)

    async def _body(self, ask: Ask, picture: bytes) -> bool:
        answer = await self._service.send(
            "POST", "/upscale", params=ask.parameters, content=picture, headers=OCTETS
        )
        judge_picture(ask, answer.content)
        return _is_late(answer)

    async def _form(self, ask: Ask, picture: bytes) -> bool:
        files = {"image": ("picture", picture, "application/octet-stream")}
        answer = await self._service.send("POST", "/upscale", data=ask.parameters, files=files)
        judge_picture(ask, answer.content)
        return _is_late(answer)

    async def _again(self, ask: Ask, picture: bytes) -> bool:
        late = [await self._body(ask, picture) for _ in range(2)]
        return late[0]

    async def _address(self, ask: Ask, picture: bytes) -> bool:
        name = f"picture-{ask.number}"
        address = {"image_url": self._neighbour.show(name, picture)}
        try:
            answer = await self._service.send("POST", "/upscale", params=ask.parameters | address)
        finally:
            self._neighbour.forget(name)
        judge_picture(ask, answer.content)
        return _is_late(answer)

    async def _leave(self, ask: Ask, picture: bytes) -> bool:
        try:
            async with asyncio.timeout(0.01 + ask.patience_s):
                return await self._body(ask, picture)
        except TimeoutError:
            return False

    async def _inference(self, ask: Ask, picture: bytes) -> bool:
        wishes = dict(ask.parameters)
        model = wishes.pop("model", "anysr")
        tensor = {"name": "image", "datatype": "BYTES", "shape": [1]}
        numbers = {name: float(wishes.pop(name)) for name in NUMBERS if name in wishes}
        body = {
            "parameters": {**wishes, **numbers},
            "inputs": [{**tensor, "data": [base64.b64encode(picture).decode()]}],
        }
        found = await self._service.record("POST", f"/v2/models/{model}/infer", json=body)
        judge_picture(ask, base64.b64decode(found["outputs"][0]["data"][0]))
        return bool(found["parameters"]["deadline"] == "missed")

    async def _submit(
        self, ask: Ask, picture: bytes, headers: Mapping[str, str] = OCTETS, **more: str
    ) -> Record:
        parameters = ask.parameters | more
        return await self._service.record(
            "POST", "/jobs", params=parameters, content=picture, headers=dict(headers)
        )

    async def _fetch(self, ask: Ask, job: Record) -> bool:
        late = judge_end(job)
        answer = await self._service.send("GET", f"/jobs/{job['id']}/result")
        judge_picture(ask, answer.content)
        return late

    async def _poll(self, ask: Ask, picture: bytes) -> bool:
        job = await self._submit(ask, picture)
        return await self._fetch(ask, await self._service.ended(f"/jobs/{job['id']}"))

    async def _repeat(self, ask: Ask, picture: bytes) -> bool:
        headers = {**OCTETS, "Idempotency-Key": f"{self._run}-{ask.number}"}
        first, second = [await self._submit(ask, picture, headers) for _ in range(2)]
        if first["id"] != second["id"]:
            raise Fault("one key has two jobs")
        return await self._fetch(ask, await self._service.ended(f"/jobs/{first['id']}"))

    async def _events(self, ask: Ask, picture: bytes) -> bool:
        job = await self._submit(ask, picture)
        async for state in self._service.changes(f"/jobs/{job['id']}"):
            job = state
        return await self._fetch(ask, job)

    async def _cancel(self, ask: Ask, picture: bytes) -> bool:
        job = await self._submit(ask, picture)
        await asyncio.sleep(ask.patience_s)
        job = await self._service.record("DELETE", f"/jobs/{job['id']}")
        return job["status"] != "cancelled" and judge_end(job)

    async def _webhook(self, ask: Ask, picture: bytes) -> bool:
        job = await self._submit(ask, picture, webhook_url=self._neighbour.url + HOOK)
        ended = await self._service.ended(f"/jobs/{job['id']}")
        await arrived(lambda: self._neighbour.announced(job["id"]) or None, "webhook")
        return await self._fetch(ask, ended)

    async def _delivery(self, ask: Ask, picture: bytes) -> bool:
        name = f"result-{ask.number}"
        job = await self._submit(ask, picture, result_url=f"{self._neighbour.url}/{name}")
        late = judge_end(await self._service.ended(f"/jobs/{job['id']}"))
        judge_picture(ask, await arrived(lambda: self._neighbour.stored(name), "picture"))
        return late

    async def _damaged(self, ask: Ask, picture: bytes) -> bool:
        content = damaged(picture, ask.number)
        await self._service.damaged(
            "/upscale", params=ask.parameters, content=content, headers=OCTETS
        )
        return False

    async def _pages(self, ask: Ask, picture: bytes) -> bool:
        del picture
        await self._service.send("GET", PAGES[ask.number % len(PAGES)])
        described = {
            "width": str(ask.drawing.width),
            "height": str(ask.drawing.height),
            "format": ask.drawing.format,
            "scale": ask.parameters["scale"],
        }
        await self._service.send("GET", "/estimate", params=described)
        return False


def _is_late(answer: httpx.Response) -> bool:
    return bool(answer.headers.get("X-AnySR-Deadline") == "missed")


async def arrived(look: Callable[[], Any], what: str) -> Any:
    """Wait until `look` returns something, and return that. Raises Fault."""
    try:
        async with asyncio.timeout(ARRIVAL_S):
            while (found := look()) is None:  # noqa: ASYNC110 - a thread of the server brings it
                await asyncio.sleep(ARRIVAL_POLL_S)
    except TimeoutError:
        raise Fault(f"the {what} did not come within {ARRIVAL_S:g} s") from None
    return found
