"""Which cached pictures answer a job: as good as a run would be, and never worse."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from jobs.job import Reason, RunFacts
from models.catalog import Catalog, ModelEntry, QualityEntry
from scheduling.rungs import Rung
from service.result_cache.digests import group_of, variant_of
from service.result_cache.wishes import ANY_NETWORK, BEST_NETWORK, Wish, answers, worth_keeping
from tests.service.harness import MODEL, model_entry
from tests.support.jobs import job_request

BETTER = "drawn-l"
APART = "drawn-x"


def measured(name: str, psnr_y: float, **changes: Any) -> ModelEntry:
    """A model whose width w has a mean of psnr_y + w dB at scale 2."""
    rows = tuple(
        QualityEntry(dataset="B100", scale=2.0, width=w, psnr_y=psnr_y + w, ssim=0.9)
        for w in (0.25, 0.5, 1.0)
    )
    return model_entry(name).model_copy(update={"quality": rows, **changes})


CATALOG = Catalog(
    default=MODEL,
    models=(measured(MODEL, 30.0), measured(BETTER, 32.0), measured(APART, 40.0, in_ladder=False)),
)


def made(model: str, width: float, **changes: Any) -> RunFacts:
    facts = RunFacts(
        *(model, width, Reason.WIDEST, 100.0, 90.0),
        expected_db=31.0,
        fingerprint=CATALOG.get(model).fingerprint,
    )
    return replace(facts, **changes)


@pytest.mark.parametrize(
    ("facts", "wish", "hit"),
    [
        (made(MODEL, 1.0), Wish(Rung(MODEL, 0.5)), True),
        (made(MODEL, 0.5), Wish(Rung(MODEL, 0.5)), True),
        (made(MODEL, 0.25), Wish(Rung(MODEL, 0.5)), False),
        (made(BETTER, 0.25), Wish(Rung(MODEL, 1.0)), True),
        (made(MODEL, 1.0), Wish(Rung(BETTER, 0.25)), False),
        (made(BETTER, 1.0), BEST_NETWORK, True),
        (made(BETTER, 0.5), BEST_NETWORK, False),
        (made(MODEL, 1.0), BEST_NETWORK, False),
        (made(MODEL, 0.25), ANY_NETWORK, True),
        (made(APART, 1.0), ANY_NETWORK, False),
        (made(MODEL, 1.0, fingerprint="0" * 32), ANY_NETWORK, False),
        (replace(made(MODEL, 1.0), model="gone"), ANY_NETWORK, False),
    ],
)
def test_a_better_picture_answers_a_lesser_wish_and_never_the_reverse(
    facts: RunFacts, wish: Wish, hit: bool
) -> None:
    assert answers(facts, job_request(), wish, CATALOG) is hit


@pytest.mark.parametrize(
    ("facts", "wishes", "hit"),
    [
        (made(MODEL, 1.0), {"model": MODEL}, True),
        (made(BETTER, 1.0), {"model": MODEL}, False),
        (made(APART, 1.0), {"model": APART}, True),
        (made(MODEL, 0.5), {"model": MODEL, "pinned_width": 0.5}, True),
        (made(MODEL, 1.0), {"model": MODEL, "pinned_width": 0.5}, False),
        (made(MODEL, 0.5), {"min_width": 0.5}, True),
        (made(MODEL, 0.25), {"min_width": 0.5}, False),
        (made(MODEL, 0.25), {"min_db": 31.0}, True),
        (made(MODEL, 0.25), {"min_db": 31.1}, False),
        (made(MODEL, 0.25, expected_db=None), {"min_db": 1.0}, False),
    ],
)
def test_what_a_caller_insists_on(facts: RunFacts, wishes: dict[str, Any], hit: bool) -> None:
    assert answers(facts, job_request(**wishes), ANY_NETWORK, CATALOG) is hit


def test_resampled_and_rescued_pictures_are_not_kept() -> None:
    assert worth_keeping(made(MODEL, 0.25, reason=Reason.BACKLOG))
    assert not worth_keeping(made(MODEL, 0.25, reason=Reason.BEHIND))
    assert not worth_keeping(made(MODEL, 0.0, reason=Reason.FLOOR, fingerprint=None))
    assert not worth_keeping(made(MODEL, 1.0, fingerprint=None))


@pytest.mark.parametrize(
    "change",
    [
        *({"output_width": 81}, {"output_height": 61}, {"output_format": "webp"}, {"quality": 80}),
        *({"lossless": True}, {"frame": 0}, {"background": "000000"}, {"strength": 0.5}),
        {"metadata": "none"},
    ],
)
async def test_every_option_that_changes_the_picture_counts(change: dict[str, Any]) -> None:
    one, other = job_request(), job_request(**change)
    assert await group_of(one, b"p", "") != await group_of(other, b"p", "")


async def test_a_group_is_of_one_picture_and_one_scope_and_for_all_wishes() -> None:
    job = job_request()
    group = await group_of(job, b"p", "a")
    assert await group_of(job, b"q", "a") != group
    assert await group_of(job, b"p", "b") != group
    wishes = job_request(id="x", model=MODEL, pinned_width=0.5, budget_ms=9.0, min_db=3.0)
    assert await group_of(wishes, b"p", "a") == group
    large = bytes(1 << 19)
    assert await group_of(job, large, "a") == await group_of(wishes, large, "a") != group


def test_new_weights_make_another_variant() -> None:
    entry = model_entry(MODEL)
    weights = entry.weights.model_copy(update={"sha256": "1" * 64})
    renewed = entry.model_copy(update={"weights": weights})
    assert renewed.fingerprint != entry.fingerprint
    assert entry.model_copy(update={"description": "other"}).fingerprint == entry.fingerprint
    one, two = made(MODEL, 1.0), made(MODEL, 1.0, fingerprint=renewed.fingerprint)
    assert len({variant_of(one), variant_of(two), variant_of(made(MODEL, 0.5))}) == 3
