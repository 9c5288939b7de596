"""What a submission sends: budgets within deadlines, and keys."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anysr_client import Busy, ConnectionFailed, Deadline, DeadlineExceeded, UnexpectedAnswer
from anysr_client.calls import WAY_BACK, Submission, budget_within
from anysr_client.errors import AnysrError
from anysr_client.options import BUDGET, Options, query_of
from anysr_client.uploads import upload_of

UNCONFIRMED = Busy("not on disk", code="not_durable_yet")
REFUSED = [Busy("busy"), ConnectionFailed("nowhere", reached=False)]
UNSURE = [ConnectionFailed("broken"), UnexpectedAnswer("proxy", status=502), UNCONFIRMED]


@given(
    left_s=st.floats(1.0, 1e5),
    budget_s=st.none() | st.floats(0.001, 1e5),
    most_s=st.none() | st.floats(1.0, 1e4),
)
def test_a_budget_ends_before_the_deadline(
    left_s: float, budget_s: float | None, most_s: float | None
) -> None:
    deadline = Deadline.after(left_s)
    found = budget_within(deadline, budget_s, most_s)
    assert found is not None
    bound = left_s * (1.0 - WAY_BACK)
    wanted = budget_s if budget_s is not None else most_s
    expected = bound if wanted is None else min(bound, wanted)
    # The time between the two clock readings is lost.
    assert expected - 1.0 < found <= expected


def test_without_a_deadline_the_budget_is_the_callers() -> None:
    assert budget_within(None, None, 600.0) is None
    assert budget_within(None, 7.0, 5.0) == 7.0


def test_no_budget_is_left_behind_the_deadline() -> None:
    with pytest.raises(DeadlineExceeded):
        budget_within(Deadline(time.monotonic()), 5.0, None)


@pytest.mark.parametrize("error", REFUSED, ids=repr)
def test_a_refusal_makes_a_new_request(error: AnysrError) -> None:
    submission = Submission("/jobs", {"scale": "2"}, upload_of(b"abc"), keyed=True)
    first = submission.call(None)
    assert submission.call(None) is first
    submission.failed(error)
    second = submission.call(None)
    assert first.headers["Idempotency-Key"] != second.headers["Idempotency-Key"]
    assert first.query == second.query == {"scale": "2"}


@pytest.mark.parametrize("error", UNSURE, ids=repr)
def test_a_request_that_may_have_been_seen_is_kept_for_good(error: AnysrError) -> None:
    deadline = Deadline.after(60.0)
    submission = Submission("/jobs", {}, upload_of(b"abc"), keyed=True)
    first = submission.call(deadline)
    for later in (error, Busy("busy"), Busy("busy")):
        submission.failed(later)
        assert submission.call(deadline) is first


@pytest.mark.parametrize("error", [*REFUSED, *UNSURE], ids=repr)
def test_without_a_key_each_request_is_a_new_one(error: AnysrError) -> None:
    submission = Submission("/upscale", {}, upload_of(b"abc"))
    first = submission.call(Deadline.after(60.0))
    assert "Idempotency-Key" not in first.headers
    submission.failed(error)
    assert float(submission.call(Deadline.after(30.0)).query[BUDGET]) < float(first.query[BUDGET])


@pytest.mark.parametrize("key", ["", "é", "a\nb", "a" * 256])
def test_a_key_that_no_header_holds_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="1 to 255 printable"):
        Submission("/jobs", {}, upload_of(b"abc"), key=key)


@pytest.mark.parametrize("key", ["plain", 'a "b" \\c', " ~"])
def test_the_service_reads_the_key_that_was_given(key: str) -> None:
    sent = Submission("/jobs", {}, upload_of(b"abc"), key=key).call(None).headers
    quoted = sent["Idempotency-Key"]
    assert re.fullmatch(r'"(?:[^"\\]|\\["\\])*"', quoted)
    assert re.sub(r"\\(.)", r"\1", quoted[1:-1]) == key


def test_a_callers_own_key_comes_with_the_same_request_each_time() -> None:
    upload = upload_of(b"abc")
    for budget_s, query in ((None, {}), (50.0, {BUDGET: "50000.000"})):
        submission = Submission("/jobs", {}, upload, budget_s, key="mine")
        first = submission.call(Deadline.after(30.0))
        submission.failed(Busy("busy"))
        assert submission.call(Deadline.after(20.0)) == first
        assert first.query == query


def test_the_budget_is_written_as_the_service_reads_it() -> None:
    call = Submission("/upscale", {}, upload_of(b"abc"), budget_s=1e-5).call(None)
    assert call.query == {BUDGET: "0.010"}
    assert call.headers["Content-Length"] == "3"


def test_options_are_written_as_the_service_reads_them() -> None:
    options = {"scale": 2.5, "width": 40, "lossless": True, "model": None, "budget": 3}
    assert query_of(options, Options) == {"scale": "2.5", "width": "40", "lossless": "true"}
