"""Which cached picture answers a request: one that is at least as good as a run would be now.

A wider or better network answers the wish for a narrower one, and never the reverse.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from jobs.errors import InvalidRequest, NotReady
from jobs.job import JobRequest, Reason, RunFacts
from models.catalog import WIDTH_TOLERANCE, Catalog
from scheduling.options import scale_of
from scheduling.rungs import FLOOR, Rung
from service.admission import Assessment

SPOILED = frozenset({Reason.FLOOR, Reason.BEHIND})
"""Reasons of results that are not kept: resampling costs little, and a picture that was finished by
another network than it was begun with is nobody's wish."""


@dataclass(frozen=True)
class Wish:
    """The rung that a run would take now; None for the best that is allowed, or for any network."""

    rung: Rung | None = None
    best: bool = False
    """Whether only the best network will do: what a run would take is not known."""


ANY_NETWORK, BEST_NETWORK = Wish(), Wish(best=True)


def wished(job: JobRequest, assess: Callable[[], Assessment]) -> tuple[JobRequest, Wish]:
    """Return a job with its budget, and its wish. `assess` assesses the job, and may raise as
    `service.admission.assessed`."""
    try:
        assessment = assess()
    except NotReady:
        return job, BEST_NETWORK
    except InvalidRequest:  # no network is expected to reach min_db on average; this picture may
        return job, ANY_NETWORK
    job, overhead_ms = assessment.job, assessment.overhead_ms
    in_time = [o.rung for o in assessment.options if o.safe_ms + overhead_ms <= job.budget_ms]
    return job, Wish(in_time[-1]) if in_time and in_time[-1] != FLOOR else ANY_NETWORK


def worth_keeping(facts: RunFacts) -> bool:
    """Return whether the result of a run may answer later requests."""
    return facts.fingerprint is not None and facts.reason not in SPOILED


def answers(facts: RunFacts, job: JobRequest, wish: Wish, catalog: Catalog) -> bool:
    """Return whether a picture that was made so answers a job."""
    return (
        _is_current(facts, catalog)
        and _allowed(facts, job, catalog)
        and _as_good_as(facts, job, wish, catalog)
    )


def quality_of(facts: RunFacts, job: JobRequest, catalog: Catalog) -> tuple[float, float]:
    """Return what cached pictures of a job are compared by, the better the greater."""
    db = _mean_db(Rung(facts.model, facts.width), job, catalog)
    return (-1.0 if db is None else db), facts.width


def _is_current(facts: RunFacts, catalog: Catalog) -> bool:
    """Return whether the model that made a picture is still the one of its name."""
    return (
        facts.model in catalog.names and catalog.get(facts.model).fingerprint == facts.fingerprint
    )


def _allowed(facts: RunFacts, job: JobRequest, catalog: Catalog) -> bool:
    """Return whether the caller accepts this model, width and expected quality."""
    if job.model is None and not catalog.get(facts.model).chosen_freely:
        return False
    if job.model is not None and job.model != facts.model:
        return False
    if job.pinned_width is not None and abs(facts.width - job.pinned_width) > WIDTH_TOLERANCE:
        return False
    if job.min_width is not None and facts.width < job.min_width - WIDTH_TOLERANCE:
        return False
    return job.min_db is None or (facts.expected_db or 0.0) >= job.min_db


def _as_good_as(facts: RunFacts, job: JobRequest, wish: Wish, catalog: Catalog) -> bool:
    if job.pinned_width is not None:
        return True
    made = Rung(facts.model, facts.width)
    if wish.best:
        return all(_reaches(made, rung, job, catalog) for rung in _rungs(job, catalog))
    return wish.rung is None or _reaches(made, wish.rung, job, catalog)


def _reaches(made: Rung, wished: Rung, job: JobRequest, catalog: Catalog) -> bool:
    """Return whether a rung is at least as good as another one: as wide in the same model, or of
    the same mean quality."""
    if made.model == wished.model:
        return made.width >= wished.width
    mean, wished_mean = _mean_db(made, job, catalog), _mean_db(wished, job, catalog)
    return mean is not None and wished_mean is not None and mean >= wished_mean


def _rungs(job: JobRequest, catalog: Catalog) -> Iterable[Rung]:
    """Return the full width of each model that may run."""
    entries = (
        [catalog.get(job.model)] if job.model else [e for e in catalog.models if e.chosen_freely]
    )
    return [Rung(entry.name, entry.widths[-1].width) for entry in entries]


def _mean_db(rung: Rung, job: JobRequest, catalog: Catalog) -> float | None:
    return catalog.get(rung.model).expected_db(rung.width, scale_of(job), job.strength)
