"""Answer for what has a webhook: a job or a batch."""

from __future__ import annotations

from jobs.batch import BatchView
from jobs.job import JobView
from service.answers.batch import BatchAnswer, batch_answer
from service.answers.job import JobAnswer, job_answer


def answer_of(view: JobView | BatchView, root_path: str) -> JobAnswer | BatchAnswer:
    """Return the answer that its own address gives; `root_path` is the prefix of its links."""
    if isinstance(view, BatchView):
        return batch_answer(view, root_path)
    return job_answer(view, root_path)
