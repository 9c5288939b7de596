"""The event of a small result brings run facts and picture to the gateway that waits.

It saves that gateway a call. One that is lost costs nothing else: the job's end is published
to all in any case, and record and picture are read then.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from jobs.codec import RUN_FACTS, CodecError
from jobs.digests import digest_of
from jobs.job import JobStatus, JobView, Outcome, RunFacts

FIELDS = 5
"""Of the event, each followed by a colon: id, token, attempt, moment of the end in ms, and the
length of the run facts. Run facts and picture follow."""


@dataclass(frozen=True)
class ResultEvent:
    """The end of a job that succeeded, with its picture."""

    job_id: str
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


def result_event_of(message: bytes) -> ResultEvent:
    """Return the event in a message of finish.lua. Raises CodecError for a damaged one."""
    try:
        job_id, token, attempt, finished_ms, length, rest = message.split(b":", FIELDS)
        facts, picture = RUN_FACTS.decode(rest[: int(length)]), rest[int(length) :]
        if facts.picture_digest not in (None, digest_of(picture)):
            raise ValueError("the picture is another one")
        moment = float(finished_ms)
        return ResultEvent(job_id.decode(), int(token), int(attempt), moment, facts, picture)
    except ValueError as error:
        raise CodecError(f"damaged result event: {error}") from error
