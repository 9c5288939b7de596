"""What is published of a job or batch: `status:id` at a change, and `status:id:token` at its end.

An event only means "read this again". The end of a job whose result is small brings run facts and
picture to the gateway that submitted it, which saves that gateway a call.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from jobs.codec import RUN_FACTS, CodecError
from jobs.digests import digest_of
from jobs.job import JobStatus, JobView, Outcome, RunFacts

HEAD_FIELDS, RESULT_FIELDS = 3, 3
"""Before what is enclosed, each followed by a colon: status, id and token. Before run facts and
picture, likewise: attempt, moment of the end in ms, and the length of the run facts."""


@dataclass(frozen=True)
class JobEvent:
    """A change, or the end."""

    name: str
    """Id of a job, or name of a batch's record."""
    ends: bool
    token: int | None = None
    """Of the claim that ended the job; None if it never ran."""
    enclosed: bytes = b""


@dataclass(frozen=True)
class ResultEvent:
    """The end of a job that succeeded, with its picture."""

    token: int
    attempt: int
    finished_ms: float
    facts: RunFacts
    picture: bytes

    def outcome(self, submitted: JobView) -> Outcome:
        """Return the outcome of the job, given its view at its submission."""
        view = replace(
            submitted,
            status=JobStatus.SUCCEEDED,
            finished_ms=self.finished_ms,
            progress=1.0,
            attempt=self.attempt,
            token=self.token,
            facts=self.facts,
        )
        return Outcome(view, self.picture)


def job_event_of(message: bytes) -> JobEvent:
    """Return the event in a message, whatever it is."""
    _, *parts = message.split(b":", HEAD_FIELDS)
    name, token, enclosed = (*parts, b"", b"", b"")[:HEAD_FIELDS]
    number = int(token) if token.isdigit() else None
    return JobEvent(name.decode(errors="replace"), len(parts) > 1, number, enclosed)


def result_event_of(event: JobEvent) -> ResultEvent | None:
    """Return the result that an end brings; None without one. Raises CodecError for a damaged
    one."""
    if event.token is None or not event.enclosed:
        return None
    try:
        attempt, finished_ms, length, rest = event.enclosed.split(b":", RESULT_FIELDS)
        facts, picture = RUN_FACTS.decode(rest[: int(length)]), rest[int(length) :]
        if facts.picture_digest not in (None, digest_of(picture)):
            raise ValueError("the picture is another one")
        return ResultEvent(event.token, int(attempt), float(finished_ms), facts, picture)
    except ValueError as error:
        raise CodecError(f"damaged result event: {error}") from error
