"""Errors travel as code, detail and details, and come back the same, whatever is in them."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs import errors
from jobs.errors import ERRORS, AnysrError, InternalError, from_code
from jobs.job import Job
from jobs.redis_queue import RedisQueue

AWKWARD = {
    "self": 1,
    "code": "other",
    "detail": "other",
    "details": {"cls": None},
    "": "",
    "a b": 2,
}
keys = st.text(max_size=8) | st.sampled_from(sorted(AWKWARD))
details = st.dictionaries(keys, st.integers() | st.text(max_size=8))


def tree_of(kind: type[AnysrError], depth: int = 0) -> list[tuple[int, str, str]]:
    """Depth, name and code of the errors below one; a code that is inherited is left out."""
    found = []
    for child in kind.__subclasses__():
        code = str(child.__dict__.get("code", ""))
        found += [(depth, child.__name__, code), *tree_of(child, depth + 1)]
    return found


def test_the_tree_in_the_docstring_is_the_tree_of_the_classes() -> None:
    lines = re.findall(r"^([│ ]*)[├└]── (\w+) +([a-z_]+\b(?! \w))?", errors.__doc__ or "", re.M)
    drawn = [(len(indent) // 4, name, code) for indent, name, code in lines]
    assert sorted(drawn) == sorted(tree_of(AnysrError))


def test_every_code_is_listed_once() -> None:
    named = [code for _, _, code in tree_of(AnysrError) if code]
    assert sorted(named) == sorted(error.code for error in ERRORS)


@given(st.sampled_from(ERRORS), st.text(min_size=1, max_size=20), details)
def test_an_error_comes_back_the_same(
    kind: type[AnysrError], detail: str, given_details: dict[str, object]
) -> None:
    error = from_code(kind.code, detail, **given_details)
    assert type(error) is kind
    assert (error.detail, error.details) == (detail, given_details)


def test_an_unknown_code_is_a_failure_of_ours() -> None:
    assert type(from_code("none such", None, code="x")) is InternalError


@pytest.mark.parametrize("kind", ERRORS)
async def test_awkward_details_pass_through_the_queue(
    queue: RedisQueue, make_job: Callable[..., Job], kind: type[AnysrError]
) -> None:
    job = make_job()
    await queue.submit(job, b"picture")
    claim = await queue.claim("w", 0)
    assert claim is not None
    assert await queue.fail(claim, kind("why", **AWKWARD))
    with pytest.raises(kind, match="why") as raised:
        await queue.result(await queue.view(job.id))
    assert raised.value.details == AWKWARD
