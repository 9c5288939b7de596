"""The table of statuses is complete and equals that of docs/api.md."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from jobs.errors import ERRORS, AnysrError, InvalidRequest, NotReady, Overloaded
from service.openapi import RUN_CODES, UPLOAD_CODES
from service.problems import STATUS, problem, respond

DOCS = Path(__file__).parents[2] / "docs" / "api.md"


def documented() -> dict[str, int]:
    text = DOCS.read_text().partition("## Errors")[2]
    rows = re.findall(r"^\| (\d{3}) \| (.*) \|$", text, re.MULTILINE)
    return {code: int(status) for status, cell in rows for code in re.findall("`([a-z_]+)`", cell)}


def test_every_error_has_a_status() -> None:
    assert {error.code for error in ERRORS} == set(STATUS)


def test_documented_statuses_are_the_real_ones() -> None:
    assert documented() == STATUS


def test_described_codes_exist() -> None:
    assert {*UPLOAD_CODES, *RUN_CODES} <= set(STATUS)


@pytest.mark.parametrize("error", ERRORS)
def test_members(error: type[AnysrError]) -> None:
    members = problem(error("why", status="mine", extra=7), "id")
    assert members["code"] == error.code
    assert members["status"] == STATUS[error.code]
    assert (members["detail"], members["request_id"], members["extra"]) == ("why", "id", 7)


@pytest.mark.parametrize(
    ("error", "after"),
    [(Overloaded(retry_after_s=3.2), "4"), (Overloaded(retry_after_s=0), "1"), (NotReady(), "2")],
)
def test_retry_after(error: AnysrError, after: str) -> None:
    assert respond(error, "id").headers["retry-after"] == after


def test_text_that_utf8_cannot_hold_is_still_answered() -> None:
    body = bytes(respond(InvalidRequest("odd: \ud800"), "id").body)
    assert json.loads(body)["detail"] == "odd: \ud800"
