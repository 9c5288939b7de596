"""Values survive a round trip; anything else is refused."""

from __future__ import annotations

import dataclasses
import json
import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.codec import JOB, PROFILE, RUN_FACTS, WORKER_STATE, CodecError, decode_details
from jobs.digests import unsealed
from jobs.formats import ImageFormat
from jobs.heartbeat import WorkerHeartbeat
from jobs.heartbeat_parts import heartbeat_of, profile_of, state_of
from jobs.job import Job, OnMiss, Reason, RunFacts

MakeJob = Callable[..., Job]

finite = st.floats(allow_nan=False, allow_infinity=False)
text = st.text(st.characters(codec="utf-8"))
jobs = st.builds(
    Job,
    id=text,
    source_width=st.integers(1, 10**6),
    source_height=st.integers(1, 10**6),
    output_width=st.integers(1, 10**6),
    output_height=st.integers(1, 10**6),
    output_format=st.sampled_from(ImageFormat),
    quality=st.none() | st.integers(1, 100),
    model=st.none() | text,
    pinned_width=st.none() | finite,
    on_miss=st.sampled_from(OnMiss),
    budget_ms=finite,
    cheapest_ms=finite,
    narrowest_ms=finite,
    overhead_ms=finite,
    min_db=st.none() | finite,
    min_width=st.none() | finite,
    strength=finite,
    source_format=st.none() | st.sampled_from(ImageFormat),
    source_bytes=st.none() | st.integers(0, 10**9),
    traceparent=st.none() | text,
)
facts = st.builds(
    RunFacts,
    model=text,
    width=finite,
    reason=st.sampled_from(Reason),
    predicted_ms=finite,
    run_ms=finite,
    stages_ms=st.dictionaries(text, finite),
    expected_db=st.none() | finite,
    expected_db_range=st.none() | st.tuples(finite, finite),
    tiles=st.integers(0, 10**6),
)
heartbeats = st.builds(
    WorkerHeartbeat,
    worker_id=text,
    ready=st.booleans(),
    models=st.lists(text).map(tuple),
    costs=st.dictionaries(text, st.dictionaries(text, finite)),
    busy=st.booleans(),
)


@given(jobs)
def test_jobs_come_back_the_same(job: Job) -> None:
    assert JOB.decode(JOB.encode(job)) == job


@given(facts)
def test_facts_come_back_the_same(run: RunFacts) -> None:
    assert RUN_FACTS.decode(RUN_FACTS.encode(run)) == run


@given(heartbeats)
def test_heartbeats_come_back_the_same(heartbeat: WorkerHeartbeat) -> None:
    state = WORKER_STATE.decode(WORKER_STATE.encode(state_of(heartbeat)))
    profile = PROFILE.decode(PROFILE.encode(profile_of(heartbeat)))
    assert heartbeat_of(state, profile) == heartbeat


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused(data: bytes) -> None:
    for codec in (JOB, RUN_FACTS, WORKER_STATE, PROFILE):
        with pytest.raises(CodecError):
            codec.decode(data)


@pytest.mark.parametrize(
    "change",
    [
        {"output_format": "psd"},
        {"on_miss": "maybe"},
        {"source_width": "40"},
        {"source_width": 1.5},
        {"budget_ms": None},
        {"id": 7},
        {"colour": "red"},
    ],
)
def test_wrong_or_unknown_member_is_refused(make_job: MakeJob, change: dict[str, object]) -> None:
    record = json.loads(unsealed(JOB.encode(make_job()))) | change
    with pytest.raises(CodecError):
        JOB.decode(json.dumps(record).encode())


@pytest.mark.parametrize("field", dataclasses.fields(Job), ids=lambda field: field.name)
def test_missing_member_is_refused_or_has_its_default(
    make_job: MakeJob, field: dataclasses.Field[object]
) -> None:
    record = json.loads(unsealed(JOB.encode(make_job())))
    del record[field.name]
    data = json.dumps(record).encode()
    if field.default is dataclasses.MISSING:
        with pytest.raises(CodecError):
            JOB.decode(data)
    else:
        assert getattr(JOB.decode(data), field.name) == field.default


def test_a_turned_bit_is_noticed_wherever_it_is(make_job: MakeJob) -> None:
    data = JOB.encode(make_job(client="Zoë"))
    for place in range(len(data)):
        for bit in range(8):
            turned = data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]
            with pytest.raises(CodecError):
                JOB.decode(turned)


def test_a_cut_record_is_noticed_wherever_it_is_cut(make_job: MakeJob) -> None:
    data = JOB.encode(make_job())
    for length in range(len(data)):
        with pytest.raises(CodecError):
            JOB.decode(data[:length])


def test_a_record_of_an_earlier_version_has_no_digest(make_job: MakeJob) -> None:
    job = make_job()
    assert JOB.decode(unsealed(JOB.encode(job))) == job


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_number_that_json_cannot_express_is_refused_by_the_writer(
    make_job: MakeJob, value: float
) -> None:
    with pytest.raises(CodecError):
        JOB.encode(make_job(budget_ms=value))


def test_object_that_json_cannot_express_is_refused_by_the_writer() -> None:
    heartbeat = WorkerHeartbeat("w", True, (), {"costs": object()})
    with pytest.raises(CodecError):
        WORKER_STATE.encode(state_of(heartbeat))


def test_error_details_must_be_an_object() -> None:
    assert decode_details(b'{"smallest_feasible_ms": 12.5}') == {"smallest_feasible_ms": 12.5}
    for data in (b"[1]", b"nonsense", b""):
        with pytest.raises(CodecError):
            decode_details(data)


def test_nothing_is_kept_of_the_texts_that_were_read(make_job: MakeJob) -> None:
    """Ids and digests never come again; pydantic would keep thousands of them."""
    coded = [JOB.encode(make_job(id=f"{number:032x}")) for number in range(1200)]

    def traced(some: list[bytes]) -> int:
        for data in some:
            JOB.decode(data)
            decode_details(data)
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        first = traced(coded[:200])
        assert traced(coded[200:]) - first < 20_000
    finally:
        tracemalloc.stop()
