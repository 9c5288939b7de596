"""Errors of the client, one class per family:

AnysrError
├── InvalidRequest      a parameter is wrong, or names what the service lacks
├── PictureRefused      the picture cannot be read, or is too large
├── Infeasible          no budget or quality like this: `members` say what is feasible
├── SourceFailed        the picture's address did not answer as needed
├── AccessDenied        the key is missing, unknown, or not allowed to do this
├── NotFound            the job is unknown, or its picture is kept no longer
├── Conflict            the job has no picture: unfinished or cancelled; or a key is in use
├── Busy                the service wants to be asked again, after `retry_after` seconds
├── ServiceFailed       an error of the service
├── DeadlineExceeded    the caller's deadline has passed, or the job's (code deadline_exceeded)
├── ConnectionFailed    there was no answer, or it broke off
└── UnexpectedAnswer    what answered is no such service
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar


class AnysrError(Exception):
    """What went wrong: `code` is stable, `detail` is a sentence for people."""

    own_code: ClassVar[str] = "error"
    """Code of an error that the client found by itself."""

    def __init__(
        self,
        detail: str,
        *,
        code: str | None = None,
        status: int | None = None,
        retry_after: float | None = None,
        request_id: str | None = None,
        members: Mapping[str, Any] | None = None,
    ) -> None:
        self.detail = detail
        self.code = code or self.own_code
        self.status = status
        """Status of the service's answer; None where there was none."""
        self.retry_after = retry_after
        """Seconds after which the service wants to be asked again; None if it named none."""
        self.request_id = request_id
        self.members: Mapping[str, Any] = members or {}
        """All members of the service's problem, such as `smallest_feasible_ms`."""
        super().__init__(f"{self.code}: {detail}")


class InvalidRequest(AnysrError):
    """A parameter is wrong, or names what the service lacks."""

    own_code = "invalid_request"


class PictureRefused(AnysrError):
    """The picture cannot be read, or is too large."""


class Infeasible(AnysrError):
    """No idle service could meet this budget, or no network reaches this quality."""


class SourceFailed(AnysrError):
    """The address from which the service was to take the picture did not answer as needed."""


class AccessDenied(AnysrError):
    """The key is missing, unknown, or not allowed to do this."""


class NotFound(AnysrError):
    """The job is unknown, or its picture is kept no longer."""


class Conflict(AnysrError):
    """The job has no picture: it has not ended, or was cancelled; or an idempotency key is in
    use."""


class Busy(AnysrError):
    """The service cannot take the request at the moment."""


class ServiceFailed(AnysrError):
    """An error of the service."""


class DeadlineExceeded(AnysrError):
    """The caller's deadline has passed, or that of the job."""

    own_code = "deadline_exceeded"


class ConnectionFailed(AnysrError):
    """There was no answer, or it broke off."""

    own_code = "connection_failed"

    def __init__(self, detail: str, *, reached: bool = True) -> None:
        super().__init__(detail)
        self.reached = reached
        """Whether the service may have seen the request; False if it could not be reached."""


class UnexpectedAnswer(AnysrError):
    """What answered is no such service."""

    own_code = "unexpected_answer"


BY_CODE: Mapping[str, type[AnysrError]] = {
    "animated_image": PictureRefused,
    "budget_infeasible": Infeasible,
    "deadline_exceeded": DeadlineExceeded,
    "decoding_too_long": PictureRefused,
    "idempotency_key_reused": Conflict,
    "model_not_trained": InvalidRequest,
    "quality_infeasible": Infeasible,
    "uploads_disabled": InvalidRequest,
    "webhooks_disabled": InvalidRequest,
}
"""Families that a status alone does not tell."""

BY_STATUS: Mapping[int, type[AnysrError]] = {
    400: PictureRefused,
    401: AccessDenied,
    403: AccessDenied,
    404: NotFound,
    409: Conflict,
    410: NotFound,
    413: PictureRefused,
    415: PictureRefused,
    424: SourceFailed,
    429: Busy,
    503: Busy,
}


def family_of(code: str, status: int) -> type[AnysrError]:
    """Return the class of a problem; one that is unknown here goes by its status."""
    by_status = ServiceFailed if status >= 500 else InvalidRequest
    return BY_CODE.get(code) or BY_STATUS.get(status, by_status)


def error_of_problem(
    problem: Mapping[str, Any], status: int, retry_after: float | None = None
) -> AnysrError:
    """Return the error of a problem (RFC 9457), which has at least `code` and `detail`."""
    code = str(problem["code"])
    request_id = problem.get("request_id")
    return family_of(code, status)(
        str(problem["detail"]),
        code=code,
        status=status,
        retry_after=retry_after,
        request_id=None if request_id is None else str(request_id),
        members=problem,
    )


def error_of_answer(status: int, headers: Mapping[str, str], body: bytes) -> AnysrError:
    """Return the error of an answer that is no success."""
    retry_after = _seconds(headers.get("Retry-After"))
    try:
        return error_of_problem(json.loads(body), status, retry_after)
    except (ValueError, LookupError, TypeError):
        place = headers.get("Location")
        towards = "" if place is None else f", towards {place}"
        detail = f"the server answered {status}{towards}, which is no answer of AnySR"
        return UnexpectedAnswer(detail, status=status, retry_after=retry_after)


def _seconds(text: str | None) -> float | None:
    """Return a Retry-After in seconds; None for a date, which no such service sends."""
    return float(text) if text is not None and text.isascii() and text.isdigit() else None
