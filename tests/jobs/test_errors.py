"""Errors travel as code, detail and details, and come back the same, whatever is in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

import jobs.errors
from jobs.errors import ERRORS, AnysrError, InternalError, from_code
from jobs.job import Job
from jobs.redis_queue import RedisQueue

Node = tuple[str, str, str | None]
"""The name of a class, that of its parent, and its own code if it has one."""

CODE_COLUMN = 31
"""Where the codes of the drawn tree begin."""

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


def drawn_tree() -> list[Node]:
    """The tree in the module's docstring, from top to bottom."""
    lines = (jobs.errors.__doc__ or "").splitlines()
    path: list[str] = []
    nodes = []
    for line in lines[lines.index("AnysrError") :]:
        name = line[:CODE_COLUMN].lstrip("│├└─ ")
        depth = (CODE_COLUMN - len(name)) // 4 if len(line) > CODE_COLUMN else 0
        path[depth:] = [name.rstrip()]
        if depth:
            has_code = line[CODE_COLUMN:][:1].strip()
            code = line[CODE_COLUMN:].split()[0] if has_code else None
            nodes.append((path[depth], path[depth - 1], code))
    return nodes


def real_tree(parent: type[AnysrError] = AnysrError) -> Iterator[Node]:
    for kind in parent.__subclasses__():
        if kind.__module__ == jobs.errors.__name__:
            yield kind.__name__, parent.__name__, vars(kind).get("code")
            yield from real_tree(kind)


def test_drawn_tree_is_that_of_the_classes() -> None:
    assert drawn_tree() == list(real_tree())


def test_every_class_with_a_code_is_listed_and_no_code_is_used_twice() -> None:
    codes = [code for _, _, code in real_tree() if code is not None]
    assert sorted(codes) == sorted(error.code for error in ERRORS)
    assert len(set(codes)) == len(codes)


@given(st.sampled_from(ERRORS), st.text(min_size=1, max_size=20), details)
def test_error_comes_back_the_same(
    kind: type[AnysrError], detail: str, given_details: dict[str, object]
) -> None:
    error = from_code(kind.code, detail, **given_details)
    assert type(error) is kind
    assert (error.detail, error.details) == (detail, given_details)


def test_unknown_code_becomes_an_internal_error() -> None:
    assert type(from_code("none such", None, code="x")) is InternalError


@pytest.mark.parametrize("kind", ERRORS)
async def test_awkward_details_pass_through_the_queue(
    queue: RedisQueue, make_job: Callable[..., Job], kind: type[AnysrError]
) -> None:
    job = make_job()
    await queue.submissions.submit(job, b"picture")
    claim = await queue.leases.claim("w", 0)
    assert claim is not None
    assert await queue.leases.fail(claim, kind("why", **AWKWARD))
    with pytest.raises(kind, match="why") as raised:
        await queue.submissions.result(await queue.submissions.view(job.id))
    assert raised.value.details == AWKWARD
