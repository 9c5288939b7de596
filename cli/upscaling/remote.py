"""Upscales pictures through a running service."""

from __future__ import annotations

import os
import time

import httpx

from cli.upscaling.refusal import Refusal
from cli.upscaling.upscaler import Outcome, ServiceGone, cleaned, converted
from jobs.errors import AnysrError, InternalError, from_code
from jobs.formats import format_of_media_type
from scheduling.request import UpscaleRequest

LOADING_PATIENCE_S = 60
"""How long a request is repeated while the service is busy or not ready: it may be loading a model
on its first request."""
REPEATED = (httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.TOO_MANY_REQUESTS)
KEY = "ANYSR_KEY"
"""Variable with the key for the service: no argument, which every user of the machine could see."""
BUDGET = "latency_budget_ms"


class RemoteUpscaler:
    """Sends pictures to a service. Without a latency budget it asks for the largest one that the
    service accepts, so that the best network runs, as in this process.

    Raises Refusal for an address that is none, and ServiceGone.
    """

    def __init__(self, server: str, wanted: UpscaleRequest) -> None:
        self._parameters = wanted.model_dump(mode="json", exclude_defaults=True)
        self._client = _client(server)
        if wanted.latency_budget_ms is None:
            most = self._largest_budget_ms()
            self._parameters |= {} if most is None else {BUDGET: most}

    def upscale(self, data: bytes) -> Outcome:
        """Return the service's picture."""
        try:
            answer = self._answer(data)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise self._gone(error) from error
        except httpx.RequestError as error:
            raise InternalError(f"the connection to the service broke: {error}") from error
        if answer.status_code != httpx.codes.OK:
            raise _problem(answer)
        try:
            return _outcome(answer)
        except (KeyError, ValueError) as error:
            raise _no_answer_of_ours(answer) from error

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _largest_budget_ms(self) -> float | None:
        """Return the largest budget that the service accepts; None if it does not state it."""
        try:
            answer = self._client.get("/models")
            return float(answer.json()["limits"]["max_budget_ms"])
        except httpx.RequestError as error:
            raise self._gone(error) from error
        except (ValueError, LookupError, TypeError):
            return None

    def _answer(self, data: bytes) -> httpx.Response:
        """Return the service's response; repeat the request while the service is busy or loads the
        model."""
        repeat_until = time.monotonic() + LOADING_PATIENCE_S
        while True:
            answer = self._client.post(
                "/upscale",
                params=self._parameters,
                content=data,
                headers={"Content-Type": "application/octet-stream"},
            )
            pause_s = answer.headers.get("Retry-After", "")
            again = answer.status_code in REPEATED and pause_s.isdecimal()
            if not again or time.monotonic() + int(pause_s) > repeat_until:
                return answer
            time.sleep(int(pause_s))

    def _gone(self, error: httpx.RequestError) -> ServiceGone:
        return ServiceGone(f"{self._client.base_url} cannot be reached: {error}")


def _client(server: str) -> httpx.Client:
    key = os.environ.get(KEY, "").strip()
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    if not key.isascii():
        raise Refusal([f"{KEY} is no key: keys have letters, digits and underscores"])
    try:
        client = httpx.Client(
            base_url=server, headers=headers, timeout=httpx.Timeout(30, read=None)
        )
    except (httpx.InvalidURL, ValueError) as error:
        raise Refusal([f"--server {server} is no address: {error}"]) from error
    if client.base_url.scheme not in ("http", "https") or not client.base_url.host:
        raise Refusal([f"--server must be an address such as http://host:8000, got {server}"])
    return client


def _outcome(answer: httpx.Response) -> Outcome:
    facts = answer.headers
    summary = (
        f"{facts['X-AnySR-Model']} at width {facts['X-AnySR-Width']} "
        f"({facts['X-AnySR-Reason']}){cleaned(float(facts.get('X-AnySR-Strength', 0)))}"
        f"{converted('X-AnySR-Colours' in facts)}, "
        f"{_expected(facts.get('X-AnySR-Expected-Db'))}"
        f"{float(facts['X-AnySR-Elapsed-Ms']):.0f} ms, deadline {facts['X-AnySR-Deadline']}"
    )
    made = format_of_media_type(facts["Content-Type"].partition(";")[0])
    return Outcome(answer.content, made, summary)


def _expected(db: str | None) -> str:
    return "" if db is None else f"{float(db):.1f} dB expected, "


def _problem(answer: httpx.Response) -> AnysrError:
    try:
        problem = answer.json()
        return from_code(str(problem["code"]), str(problem["detail"]))
    except (ValueError, KeyError, TypeError):
        return _no_answer_of_ours(answer)


def _no_answer_of_ours(answer: httpx.Response) -> InternalError:
    return InternalError(f"the server answered {answer.status_code}, which is no answer of AnySR")
