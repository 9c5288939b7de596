"""Why a job has no picture, as an error."""

from __future__ import annotations

from jobs.errors import AnysrError, JobCancelled, JobNotFinished, from_code
from jobs.job import JobStatus, JobView


class CallerGone(Exception):
    """The caller closed the connection: its job was cancelled, and nobody reads the answer."""


def error_of(view: JobView) -> AnysrError:
    """Return the error of a job that has no picture."""
    if view.status is JobStatus.CANCELLED:
        return JobCancelled()
    if view.status is JobStatus.FAILED:
        return from_code(view.error_code or "", view.error_detail, **view.error_details)
    return JobNotFinished()
