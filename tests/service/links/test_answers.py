"""Formats and freshness of the answers to links."""

from __future__ import annotations

from dataclasses import replace

import pytest
from starlette.exceptions import HTTPException

from jobs.job import Reason, RunFacts
from service.links.formats import format_for_page
from service.links.freshness import matches, max_age, tag_of

CHROME = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"
FACTS = RunFacts("m", 1.0, Reason.WIDEST, 1.0, 1.0)


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (CHROME, "avif"),
        ("image/webp,image/*;q=0.8", "webp"),
        ("image/avif;q=0.5,image/webp", "webp"),
        ("image/avif;q=0,image/*", "jpeg"),
        ("image/png,image/*;q=0.8,*/*;q=0.5", "jpeg"),
        ("*/*", "jpeg"),
        ("", "jpeg"),
        ("image/jpeg", "jpeg"),
    ],
)
def test_the_best_format_that_a_browser_names(accept: str, kind: str) -> None:
    assert format_for_page(accept) == kind


@pytest.mark.parametrize("accept", ["text/html", "image/png", "image/jpeg;q=0", "*/*;q=0"])
def test_a_caller_that_takes_none(accept: str) -> None:
    with pytest.raises(HTTPException) as refused:
        format_for_page(accept)
    assert refused.value.status_code == 406


def test_a_picture_is_kept_no_longer_than_its_link() -> None:
    assert max_age(9.9, 100.0, FACTS) == 9
    assert max_age(900.0, 100.0, FACTS) == 100
    assert max_age(900.0, 100.0, replace(FACTS, reason=Reason.FLOOR)) == 60
    assert max_age(900.0, 10.0, replace(FACTS, reason=Reason.BACKLOG)) == 10


def test_entity_tags() -> None:
    tag = tag_of(b"picture")
    assert tag != tag_of(b"picturf")
    assert matches(tag, tag)
    assert matches(f'"other", W/{tag}', tag)
    assert matches("*", tag)
    assert not matches("", tag)
    assert not matches(tag.strip('"'), tag)
    assert not matches('"other"', tag)
