"""Log lines have time, level, logger, message and context, as JSON or text."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from telemetry.logs import LogSettings, log_context

SCRIPT = """
import logging
from telemetry.logs import LogSettings, configure_logging, log_context
configure_logging(LogSettings({settings}))
log = logging.getLogger("anysr.test")
log.debug("too little to tell")
with log_context(request_id="r1", trace_id="t1"):
    log.info("made %d", 2, extra={{"width": 0.5, "reason": "slack", "note": 'a "quote"\\n'}})
    log.warning("mine", extra={{"trace_id": "t2"}})
    try:
        1 / 0
    except ZeroDivisionError:
        log.exception("broken")
log.info("outside")
uvicorn = {{"color_message": "Uvicorn on \\u001b[1m%s"}}
logging.getLogger("uvicorn.error").info("Uvicorn on %s", "8000", extra=uvicorn)
for name in ("httpx", "httpcore.http11"):
    logging.getLogger(name).info("GET https://a.example/?X-Amz-Signature=confidential")
"""


def written(settings: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(settings=settings)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_json_writes_one_object_per_line() -> None:
    lines: list[dict[str, Any]] = [json.loads(line) for line in written("log_format='json'")]
    made, mine, broken, outside, uvicorn = lines
    assert (made["level"], made["logger"], made["message"]) == ("INFO", "anysr.test", "made 2")
    assert (made["width"], made["reason"], made["note"]) == (0.5, "slack", 'a "quote"\n')
    assert (made["request_id"], made["trace_id"]) == ("r1", "t1")
    assert mine["trace_id"] == "t2", "what a line says itself goes first"
    assert "ZeroDivisionError" in broken["exc_info"]
    assert broken["request_id"] == "r1"
    assert "request_id" not in outside
    assert uvicorn["message"] == "Uvicorn on 8000"
    assert set(uvicorn) == {"time", "level", "logger", "message"}
    since = datetime.now(UTC) - datetime.fromisoformat(made["time"])
    assert timedelta(0) <= since < timedelta(minutes=5)


@pytest.mark.parametrize("level", ["debug", "info"])
def test_no_line_has_the_urls_of_the_services_own_requests(level: str) -> None:
    lines = written(f"log_level='{level}'")
    assert lines
    assert not [line for line in lines if "confidential" in line]


def test_text_writes_fields_behind_the_message() -> None:
    lines = written("log_format='text', log_level='warning'")
    assert lines[0].endswith("WARNING anysr.test mine trace_id=t2 request_id=r1")
    assert lines[1].endswith("ERROR anysr.test broken request_id=r1 trace_id=t1")
    assert lines[-1] == "ZeroDivisionError: division by zero"


def test_text_has_no_template_of_uvicorns() -> None:
    assert written("log_format='text'")[-1].endswith("INFO uvicorn.error Uvicorn on 8000")


@pytest.mark.parametrize(("given", "text"), [("", True), ("log_format='json'", False)])
def test_a_terminal_gets_text_unless_json_is_wanted(given: str, text: bool) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", SCRIPT.format(settings=given)]
    subprocess.run(command, stderr=theirs, check=True)
    os.close(theirs)
    first = os.read(ours, 65536).decode().splitlines()[0]
    os.close(ours)
    assert first.startswith("{") is not text
    assert ("INFO anysr.test made 2" in first) is text


def test_what_is_no_terminal_gets_json_without_escape_codes() -> None:
    lines = written("")
    assert [json.loads(line)["message"] for line in lines][-1] == "Uvicorn on 8000"
    assert "\x1b" not in "".join(lines)
    assert "u001b" not in "".join(lines)


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(ValidationError, match="log_format"):
        LogSettings.model_validate({"log_format": "xml"})


async def test_log_context_is_separate_per_task() -> None:
    from telemetry.logs import _log_fields

    async def one(number: int) -> object:
        with log_context(request_id=number):
            await asyncio.sleep(0)
            return _log_fields.get()["request_id"]

    assert await asyncio.gather(*map(one, range(10))) == list(range(10))
    assert dict(_log_fields.get()) == {}
