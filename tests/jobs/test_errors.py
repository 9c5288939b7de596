"""Errors travel as code, detail and details, and come back the same, whatever is in them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    await queue.submissions.submit(job, b"picture")
    claim = await queue.leases.claim("w", 0)
    assert claim is not None
    assert await queue.leases.fail(claim, kind("why", **AWKWARD))
    with pytest.raises(kind, match="why") as raised:
        await queue.submissions.result(await queue.submissions.view(job.id))
    assert raised.value.details == AWKWARD
