"""Upscales pictures through a running service, by its client."""

from __future__ import annotations

from typing import cast

from anysr_client import (
    AnysrError,
    Client,
    ConnectionFailed,
    Options,
    UnexpectedAnswer,
    Upscaled,
)
from cli.upscaling.refusal import Refusal
from cli.upscaling.upscaler import Outcome, ServiceGone, cleaned, converted
from jobs.errors import AnysrError as ServiceError
from jobs.errors import InternalError, from_code
from jobs.formats import ImageFormat, format_of_media_type
from scheduling.request import UpscaleRequest


class RemoteUpscaler:
    """Sends pictures to a service. Without a latency budget it asks for the largest one that the
    service accepts, so that the best network runs, as in this process. The caller's key is in
    ANYSR_KEY: an argument would show it to everybody on this machine.

    Raises Refusal for an address that is none, and ServiceGone.
    """

    def __init__(self, server: str, wanted: UpscaleRequest) -> None:
        self._server = server
        self._client = _client(server)
        self._options = _options(wanted)
        if wanted.latency_budget_ms is None:
            most_ms = self._largest_budget_ms()
            if most_ms is not None:
                self._options["budget"] = most_ms / 1e3

    def upscale(self, data: bytes) -> Outcome:
        """Return the service's picture."""
        try:
            return _outcome(self._client.upscale(data, **self._options))
        except AnysrError as error:
            raise self._as_ours(error) from error

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _largest_budget_ms(self) -> float | None:
        """Return the largest budget that the service accepts; None if it does not state it."""
        try:
            return self._client.models().limits.max_budget_ms
        except ConnectionFailed as error:
            raise self._as_ours(error) from error
        except AnysrError:
            return None

    def _as_ours(self, error: AnysrError) -> ServiceError | ServiceGone:
        """Return an error of the client as the command reports it."""
        if isinstance(error, ConnectionFailed) and not error.reached:
            return ServiceGone(f"{self._server} cannot be reached: {error.__cause__}")
        if isinstance(error, ConnectionFailed | UnexpectedAnswer):
            return InternalError(error.detail)
        return from_code(error.code, error.detail)


def _client(server: str) -> Client:
    try:
        return Client(server)
    except ValueError as error:
        raise Refusal([str(error)]) from error


def _options(wanted: UpscaleRequest) -> Options:
    """Return a request as the client's options."""
    given = wanted.model_dump(mode="json", exclude_defaults=True)
    budget_ms = given.pop("latency_budget_ms", None)
    if budget_ms is not None:
        given["budget"] = budget_ms / 1e3
    return cast("Options", given)


def _outcome(made: Upscaled) -> Outcome:
    summary = (
        f"{made.model} at width {made.width:g} ({made.reason}){cleaned(made.strength)}"
        f"{converted(made.converted)}, {_expected(made.expected_db)}"
        f"{made.elapsed_ms:.0f} ms, deadline {'met' if made.met else 'missed'}"
    )
    return Outcome(made.picture, _format(made.media_type), summary)


def _format(media_type: str) -> ImageFormat:
    """Return the format of an answer. Raises UnexpectedAnswer."""
    try:
        return format_of_media_type(media_type)
    except ValueError as error:
        raise UnexpectedAnswer(f"the server answered with {media_type}") from error


def _expected(db: float | None) -> str:
    return "" if db is None else f"{db:.1f} dB expected, "
