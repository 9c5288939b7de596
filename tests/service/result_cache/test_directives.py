"""The request's Cache-Control header, as RFC 9111 has it."""

from __future__ import annotations

import math

import pytest

from service.result_cache.directives import Directives, directives_of


@pytest.mark.parametrize(
    ("header", "directives"),
    [
        ("", Directives()),
        ("no-store", Directives(read=False, store=False)),
        ("No-Cache", Directives(read=False)),
        ("max-age=60", Directives(most_age_s=60.0)),
        (' max-age="60" , no-transform', Directives(most_age_s=60.0)),
        ("max-age=-1", Directives(most_age_s=0.0)),
        ("max-age", Directives(most_age_s=0.0)),
        ("max-age=99999999999999999999", Directives(most_age_s=2_147_483_648.0)),
        ("no-cache, no-store", Directives(read=False, store=False)),
        ("only-if-cached", Directives(most_age_s=math.inf)),
    ],
)
def test_what_a_header_says(header: str, directives: Directives) -> None:
    assert directives_of(header) == directives
