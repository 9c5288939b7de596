"""When a request is repeated, and after which pause."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anysr_client import (
    AccessDenied,
    AnysrError,
    Busy,
    Conflict,
    ConnectionFailed,
    DeadlineExceeded,
    Infeasible,
    InvalidRequest,
    NotFound,
    PictureRefused,
    Retries,
    ServiceFailed,
    SourceFailed,
    UnexpectedAnswer,
)
from anysr_client.errors import error_of_answer
from anysr_client.retries import Tries, pause_before_next_s
from jobs.errors import ERRORS
from service.problems import STATUS

ONCE = Tries(made=1, broken=0, waited_s=0.0)
REPEATED = [
    Busy("busy"),
    Busy("busy", retry_after=3.0),
    Conflict("in use", retry_after=1.0),
    ConnectionFailed("broken"),
    UnexpectedAnswer("proxy", status=502),
]
FINAL = [
    InvalidRequest("wrong"),
    PictureRefused("wrong"),
    Infeasible("wrong"),
    NotFound("gone"),
    Conflict("cancelled"),
    ServiceFailed("broken", status=500),
    DeadlineExceeded("late", status=504),
    UnexpectedAnswer("page", status=200),
]


@pytest.mark.parametrize("error", REPEATED, ids=repr)
def test_what_is_repeated(error: AnysrError) -> None:
    assert pause_before_next_s(Retries(), ONCE, error, None, 0.0) == (error.retry_after or 0.0)


@pytest.mark.parametrize("error", FINAL, ids=repr)
def test_what_is_final(error: AnysrError) -> None:
    assert pause_before_next_s(Retries(), ONCE, error, None, 0.0) is None


@given(
    made=st.integers(1, 40),
    waited_s=st.floats(0, 100),
    retry_after=st.none() | st.floats(0, 100),
    left_s=st.none() | st.floats(-1, 200),
    chance=st.floats(0, 1),
)
def test_a_pause_keeps_to_every_bound(
    made: int, waited_s: float, retry_after: float | None, left_s: float | None, chance: float
) -> None:
    retries = Retries()
    tries = Tries(made, 0, waited_s)
    error = Busy("busy", retry_after=retry_after)
    pause_s = pause_before_next_s(retries, tries, error, left_s, chance)
    asked_s = retry_after or 0.0
    if pause_s is None:
        longest_s = asked_s + retries.longest_pause_s
        assert waited_s + asked_s > retries.patience_s or (
            left_s is not None and longest_s >= left_s
        )
    else:
        assert asked_s <= pause_s <= asked_s + retries.longest_pause_s
        assert waited_s + asked_s <= retries.patience_s
        assert left_s is None or pause_s < left_s


def test_pauses_double_up_to_the_longest() -> None:
    retries = Retries(first_pause_s=1.0, longest_pause_s=6.0)
    pauses = [
        pause_before_next_s(retries, Tries(made), Busy("busy"), None, 1.0) for made in range(1, 6)
    ]
    assert pauses == [1.0, 2.0, 4.0, 6.0, 6.0]


def test_only_tries_without_an_answer_are_counted() -> None:
    tries = Tries()
    for error in [*[Busy("busy")] * 20, *[ConnectionFailed("broken")] * 3]:
        tries = tries.after(error, 1.0)
        assert pause_before_next_s(Retries(attempts=4), tries, error, None, 0.0) is not None
    tries = tries.after(UnexpectedAnswer("proxy", status=503), 1.0)
    error = UnexpectedAnswer("proxy", status=503)
    assert pause_before_next_s(Retries(attempts=4), tries, error, None, 0.0) is None


FAMILIES: dict[type[AnysrError], str] = {
    AccessDenied: "unauthorized admin_disabled model_not_allowed address_refused "
    "source_not_allowed bucket_not_allowed result_not_allowed signature_invalid link_expired "
    "links_disabled",
    Busy: "overloaded not_ready rate_limited quota_exceeded too_many_jobs share_exceeded "
    "not_durable_yet",
    Conflict: "job_not_finished job_cancelled idempotency_key_reused upload_unfilled upload_used",
    DeadlineExceeded: "deadline_exceeded",
    Infeasible: "budget_infeasible quality_infeasible",
    InvalidRequest: "invalid_request unknown_model unknown_width model_not_trained "
    "webhooks_disabled uploads_disabled",
    NotFound: "job_not_found batch_not_found result_expired webhook_not_found upload_not_found",
    PictureRefused: "empty_body corrupt_image body_too_large image_too_large output_too_large "
    "unsupported_image animated_image decoding_too_long",
    ServiceFailed: "internal_error worker_lost data_loss not_durable",
    SourceFailed: "remote_unreachable remote_too_slow too_many_redirects remote_refused "
    "source_changed bucket_denied object_not_found bucket_not_found",
}


def test_no_code_of_the_service_is_without_a_family() -> None:
    assert {code for codes in FAMILIES.values() for code in codes.split()} == set(STATUS)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_error_of_the_service_has_its_family(family: type[AnysrError]) -> None:
    codes = {error.code for error in ERRORS}
    for code in FAMILIES[family].split():
        assert code in codes
        body = b'{"code": "%s", "detail": "Why."}' % code.encode()
        error = error_of_answer(STATUS[code], {"Retry-After": "7"}, body)
        assert type(error) is family
        assert (error.code, error.status, error.detail) == (code, STATUS[code], "Why.")
        assert error.retry_after == 7.0


@pytest.mark.parametrize(
    ("status", "body", "family"),
    [
        (429, b'{"code": "of_tomorrow", "detail": ""}', Busy),
        (418, b'{"code": "of_tomorrow", "detail": ""}', InvalidRequest),
        (599, b'{"code": "of_tomorrow", "detail": ""}', ServiceFailed),
        (500, b"[]", UnexpectedAnswer),
        (500, b'{"code": "no detail"}', UnexpectedAnswer),
        (404, b"\xff", UnexpectedAnswer),
        (502, b"", UnexpectedAnswer),
    ],
)
def test_an_error_that_is_unknown_goes_by_its_status(
    status: int, body: bytes, family: type[AnysrError]
) -> None:
    headers: dict[str, Any] = {"Retry-After": "Fri, 27 Nov 2026 08:00:00 GMT"}
    error = error_of_answer(status, headers, body)
    assert type(error) is family
    assert error.retry_after is None
