"""Mutated requests: drawn by seed and number alone, sent to a real service, and judged."""

from __future__ import annotations

import asyncio
from random import Random

import httpx
import pytest

from benchmarks.mutations import run as mutations
from benchmarks.mutations.operators import LONGEST, OPERATORS, splice
from benchmarks.mutations.request import drawn_request
from benchmarks.mutations.run import Answer, Report, judged
from benchmarks.specimens import specimens

PICTURE = specimens()["png RGB"]


def test_a_request_is_drawn_by_its_seed_and_number_alone() -> None:
    requests = [drawn_request(1, number) for number in range(200)]
    assert requests[77] == drawn_request(1, 77)
    assert len({request.picture for request in requests}) > 190
    assert drawn_request(2, 77) != requests[77]


def test_requests_cover_all_operators_formats_and_ways() -> None:
    requests = [drawn_request(1, number) for number in range(600)]
    applied = {name for request in requests for name in request.applied}
    assert applied == {*(o.__name__ for o in OPERATORS), "splice", "checksums"}
    assert {request.specimen for request in requests} > {*specimens()}
    assert {request.as_form for request in requests} == {True, False}
    assert {request.parameters.get("format") for request in requests} > {None, "jxl"}


@pytest.mark.parametrize("operator", OPERATORS)
def test_an_operator_changes_a_file(operator) -> None:
    changed = [operator(PICTURE, Random(number)) for number in range(50)]
    assert sum(one != PICTURE for one in changed) > 25
    assert all(len(one) <= LONGEST for one in changed)
    for number in range(50):
        operator(b"\0", Random(number))


def test_a_splice_has_the_beginning_of_one_file_and_the_end_of_another() -> None:
    joined = splice(b"a" * 50, b"b" * 50, Random(3))
    assert joined.strip(b"b").strip(b"a") == b""


@pytest.mark.parametrize(
    ("answer", "code", "fault"),
    [
        (httpx.Response(200, content=PICTURE), "png", ""),
        (httpx.Response(200, content=PICTURE[:20]), "", "cannot be read: corrupt_image"),
        (httpx.Response(400, json={"code": "corrupt_image"}), "corrupt_image", ""),
        (httpx.Response(400, text="no"), "", "without a code"),
        (httpx.Response(400, json=["no"]), "", "without a code"),
        (httpx.Response(500, json={"code": "worker_lost"}), "worker_lost", "status 500"),
        (httpx.Response(503, json={"code": "not_ready"}), "not_ready", "status 503"),
        (
            httpx.Response(503, json={"code": "not_ready"}, headers={"Retry-After": "2"}),
            "not_ready",
            "",
        ),
    ],
)
def test_an_answer_is_judged(answer: httpx.Response, code: str, fault: str) -> None:
    found, why = judged(answer)
    assert found == code
    assert fault in why
    assert bool(fault) == bool(why)


@pytest.mark.parametrize(
    ("faults", "lost", "end", "passed"),
    [
        ([], 0, 120, True),
        ([], 0, 121, False),
        ([], 1, 100, False),
        ([Answer(3, 500, "internal_error", 0.1, "status 500")], 0, 100, False),
    ],
)
def test_a_run_fails_by_a_fault_a_lost_worker_or_growth(
    faults: list[Answer], lost: int, end: int, passed: bool
) -> None:
    report = Report({}, 0.1, faults, lost, {"gateway": (100, 100), "worker": (100, end)})
    assert report.passed is passed


def test_a_service_answers_mutations(service_url: str) -> None:
    requests = (drawn_request(1, number) for number in range(40))
    answers = asyncio.run(mutations.send_all(service_url, requests, 2, 60.0))
    assert sorted(answer.number for answer in answers) == list(range(40))
    assert [answer for answer in answers if answer.fault] == []
    assert {400, 200} <= {answer.status for answer in answers}


def test_no_answer_is_a_fault() -> None:
    requests = iter([drawn_request(1, 0)])
    (answer,) = asyncio.run(mutations.send_all("http://127.0.0.1:1", requests, 1, 5.0))
    assert answer.status == mutations.NO_ANSWER
    assert "no answer" in answer.fault
