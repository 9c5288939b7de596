"""Requests, before they are sent, and answers, once they are read."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Protocol

from anysr_client.deadline import Deadline
from anysr_client.errors import (
    AnysrError,
    Busy,
    ConnectionFailed,
    DeadlineExceeded,
    error_of_answer,
)
from anysr_client.options import BUDGET
from anysr_client.uploads import Upload

WAY_BACK = 0.1
"""Part of what remains until a deadline that is left for the ways of picture and result: the
service's budget runs from the end of the upload to the finished answer."""
NOT_DURABLE_YET = "not_durable_yet"
"""Code of a refusal that leaves a job all the same, which the same request finds."""
KEY = re.compile(r"[ -~]{1,255}")
"""An idempotency key, before it is quoted."""


@dataclass(frozen=True)
class Call:
    """One request. `path` is relative to the service's address."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    upload: Upload | None = None
    follows: bool = False
    """Whether the answer may be elsewhere; the key is not sent there."""
    elsewhere: bool = False
    """Whether `path` is the URL of a store, which must not get the key either."""


@dataclass(frozen=True)
class Answer:
    """One answer. The names of `headers` are found in any case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def error(self) -> AnysrError | None:
        """The error of an answer that is no success."""
        if HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES:
            return None
        return error_of_answer(self.status, self.headers, self.body)


class Repeatable(Protocol):
    """A request that may be sent again."""

    def call(self, deadline: Deadline | None) -> Call:
        """Return what is to be sent now."""
        ...

    def failed(self, error: AnysrError) -> None:
        """Take notice of what became of it."""
        ...


@dataclass(frozen=True)
class Plain:
    """A request that is the same each time, and changes nothing by being repeated."""

    same: Call

    def call(self, _deadline: Deadline | None) -> Call:
        """Return the request."""
        return self.same

    def failed(self, _error: AnysrError) -> None:
        """Change nothing."""


class Submission:
    """A request that sends its picture; `keyed` gives it an idempotency key.

    A refusal leaves no job, so the next try is a new request, with the budget that then remains.
    Where it is unknown whether there is a job, a request with a key is repeated as it was: by its
    key it finds that job, and with another budget it would be another request. For that reason a
    caller's own key, which comes again with a later call, leaves the budget as the caller gave it.
    """

    def __init__(
        self,
        path: str,
        query: Mapping[str, str],
        upload: Upload | None,
        budget_s: float | None = None,
        most_budget_s: float | None = None,
        key: str | None = None,
        keyed: bool = False,
    ) -> None:
        """`key` is the caller's own. Raises ValueError for one that no header can hold."""
        self._path = path
        self._query = query
        self._upload = upload
        self._budget_s = budget_s
        self._most_budget_s = most_budget_s
        self._key = None if key is None else quoted(key)
        self._keyed = keyed or key is not None
        self._current: Call | None = None
        self._unsure = False

    def call(self, deadline: Deadline | None) -> Call:
        """Return the request with a budget that ends before the deadline."""
        if self._current is None:
            self._current = self._fresh(deadline)
        return self._current

    def failed(self, error: AnysrError) -> None:
        """Make a new request next time, unless the last one may have left a job."""
        refused = (isinstance(error, Busy) and error.code != NOT_DURABLE_YET) or (
            isinstance(error, ConnectionFailed) and not error.reached
        )
        self._unsure = self._unsure or (self._keyed and not refused)
        if not self._unsure:
            self._current = None

    def _fresh(self, deadline: Deadline | None) -> Call:
        budget_s = budget_within(deadline, self._budget_s, self._most_budget_s)
        if self._key is not None:
            budget_s = self._budget_s
        budget = {} if budget_s is None else {BUDGET: f"{1e3 * budget_s:.3f}"}
        headers = {} if self._upload is None else _of_body(self._upload)
        if self._keyed:
            headers["Idempotency-Key"] = self._key or quoted(str(uuid.uuid4()))
        return Call("POST", self._path, {**self._query, **budget}, headers, self._upload)


def _of_body(upload: Upload) -> dict[str, str]:
    return {"Content-Type": "application/octet-stream", "Content-Length": str(upload.size)}


def quoted(key: str) -> str:
    """Return a key as a string of RFC 9651. Raises ValueError."""
    if not KEY.fullmatch(key):
        raise ValueError("an idempotency key has 1 to 255 printable ASCII characters")
    return '"' + re.sub(r'(["\\])', r"\\\1", key) + '"'


def budget_within(
    deadline: Deadline | None, budget_s: float | None, most_s: float | None
) -> float | None:
    """Return the budget in seconds of a request that is sent now; None for the service's default.

    `budget_s` is what the caller wants, `most_s` the largest that the service accepts. Raises
    DeadlineExceeded.
    """
    if deadline is None:
        return budget_s
    left_s = deadline.left_s() * (1.0 - WAY_BACK)
    if left_s <= 0.0:
        raise DeadlineExceeded("the deadline passed before the picture was sent")
    wanted_s = most_s if budget_s is None else budget_s
    return left_s if wanted_s is None else min(left_s, wanted_s)
