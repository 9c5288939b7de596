"""What is read: JSON into dataclasses, events from a stream; and what is sent of a file."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import anysr_client as client
from anysr_client import JobState, UnexpectedAnswer
from anysr_client.reading import read_json
from anysr_client.server_sent_events import MOST_BYTES, EventReader
from anysr_client.uploads import PIECE_BYTES, Picture, Upload, upload_of
from service.answers.estimate import EstimateAnswer
from service.answers.job import JobAnswer, Run, WebhookAnswer
from service.answers.models import FormatAnswer, LimitsAnswer, ModelAnswer, ModelsAnswer

JOB: dict[str, Any] = {
    "id": "0f8fad5bd9cb469fa16570867728950e",
    "status": "succeeded",
    "progress": 1,
    "submitted_ms": 1.5,
    "deadline_ms": 2,
    "finished_ms": None,
    "output_width": 80,
    "output_height": 60,
    "run": {
        "model": "anysr-m",
        "width": 0.5,
        "reason": "widest",
        "predicted_ms": 10,
        "run_ms": 9,
        "stages_ms": {"network": 5},
        "expected_db": None,
        "expected_db_range": [30, 33.5],
        "strength": 0,
        "tiles": 1,
        "converted": False,
        "of_tomorrow": [1],
    },
    "error": None,
    "of_tomorrow": {"a": 1},
}


def upload(picture: Picture) -> Upload:
    """The body of a picture that is no address."""
    found = upload_of(picture)
    assert found is not None
    return found


def test_members_become_fields_and_unknown_ones_are_passed_over() -> None:
    state = read_json(JobState, json.dumps(JOB))
    assert (state.status, state.progress, state.finished_ms, state.ended) == (
        *("succeeded", 1.0, None, True),
    )
    assert state.failure is None
    assert state.run is not None
    assert state.run.expected_db_range == (30.0, 33.5)
    assert state.run.stages_ms == {"network": 5.0}
    assert type(state.progress) is float


def test_optional_members_may_be_missing() -> None:
    fewer = {name: value for name, value in JOB.items() if name not in ("run", "error")}
    assert read_json(JobState, json.dumps(fewer)).run is None


@pytest.mark.parametrize(
    "change",
    [
        {"id": 7},
        {"progress": "1"},
        {"output_width": True},
        {"output_width": 1.5},
        {"run": []},
        {"run": {}},
        {"run": {**JOB["run"], "expected_db_range": [1]}},
        {"run": {**JOB["run"], "stages_ms": {"network": None}}},
    ],
    ids=str,
)
def test_what_does_not_fit_is_no_answer(change: dict[str, Any]) -> None:
    with pytest.raises(UnexpectedAnswer, match="no JobState of AnySR"):
        read_json(JobState, json.dumps({**JOB, **change}))


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"\xff", b'{"id": "a"}'])
def test_what_is_no_object_is_no_answer(body: bytes) -> None:
    with pytest.raises(UnexpectedAnswer):
        read_json(JobState, body)


def test_answers_have_no_field_that_the_service_lacks() -> None:
    pairs: list[tuple[Any, Any]] = [
        (client.JobState, JobAnswer),
        (client.Run, Run),
        (client.Webhook, WebhookAnswer),
        (client.Estimate, EstimateAnswer),
        (client.Models, ModelsAnswer),
        (client.Model, ModelAnswer),
        (client.Limits, LimitsAnswer),
        (client.Format, FormatAnswer),
    ]
    for ours, theirs in pairs:
        assert set(ours.__dataclass_fields__) <= set(theirs.model_fields), ours


@given(
    st.lists(st.text(st.characters(exclude_characters="\r\n", codec="utf-8"), min_size=1)),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.integers(1, 40),
)
def test_events_are_read_from_pieces_of_any_length(texts: list[str], end: str, length: int) -> None:
    stream = f": waiting{end}{end}" + "".join(
        f"event: job{end}data: {text}{end}{end}" for text in texts
    )
    data = stream.encode()
    reader = EventReader()
    pieces = [data[start : start + length] for start in range(0, len(data), length)]
    assert [text for piece in pieces for text in reader.read(piece)] == texts


def test_lines_of_data_are_joined_and_comments_passed_over() -> None:
    event = b": a\nid: 1\ndata:one\ndata: two\ndatum: three\n\n"
    assert list(EventReader().read(event)) == ["one\ntwo"]


def test_an_event_without_end_is_refused() -> None:
    reader = EventReader()
    part = b"data: " + b"a" * (MOST_BYTES // 2)
    assert list(reader.read(part)) == []
    with pytest.raises(UnexpectedAnswer, match="without end"):
        list(reader.read(part))


def test_a_file_is_read_in_pieces_and_as_often_as_it_is_sent(tmp_path: Path) -> None:
    data = bytes(range(256)) * (PIECE_BYTES // 100)
    path = tmp_path / "large"
    path.write_bytes(data)
    for picture in (data, path, str(path), io.BytesIO(data)):
        sent = upload(picture)
        assert sent.size == len(data)
        for _ in range(2):
            pieces = list(sent.pieces())
            assert b"".join(pieces) == data
            assert max(map(len, pieces)) <= PIECE_BYTES


def test_a_path_to_no_regular_file_is_read(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"abc")
    os.close(writing)
    try:
        sent = upload(f"/dev/fd/{reading}")
    finally:
        os.close(reading)
    assert (sent.size, list(sent.pieces()), list(sent.pieces())) == (3, [b"abc"], [b"abc"])
    with pytest.raises(FileNotFoundError):
        upload_of(tmp_path / "missing")
    with pytest.raises(IsADirectoryError):
        upload_of(tmp_path)


def test_a_file_that_is_open_stays_open() -> None:
    file = io.BytesIO(b"abc")
    assert list(upload(file).pieces()) == [b"abc"]
    assert not file.closed
