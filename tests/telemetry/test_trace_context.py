"""`traceparent` is read as the W3C specifies it; anything else is rejected."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.trace_context import TraceContext, new_context, read_traceparent, trace_id_of

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def ids(digits: int) -> st.SearchStrategy[str]:
    return st.integers(1, 16**digits - 1).map(lambda number: f"{number:0{digits}x}")


@given(st.builds(TraceContext, ids(32), ids(16), st.booleans()))
def test_a_written_traceparent_is_read_back(context: TraceContext) -> None:
    assert read_traceparent(context.traceparent) == context


@pytest.mark.parametrize(
    ("flags", "sampled"), [("00", False), ("01", True), ("02", False), ("ff", True)]
)
def test_only_the_last_flag_bit_means_sampled(flags: str, sampled: bool) -> None:
    context = read_traceparent(f"00-{TRACE}-{SPAN}-{flags}")
    assert context == TraceContext(TRACE, SPAN, sampled)


def test_fields_of_a_later_version_are_ignored() -> None:
    assert read_traceparent(f"01-{TRACE}-{SPAN}-01-what-comes") == TraceContext(TRACE, SPAN, True)


@pytest.mark.parametrize(
    "value",
    [
        *(None, "", "rubbish", f"00-{TRACE}-{SPAN}", f"00-{TRACE.upper()}-{SPAN}-01"),
        *(f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01", f"ff-{TRACE}-{SPAN}-01"),
        *(f"00-{TRACE}-{SPAN}-01-more", f"00-{TRACE[1:]}-{SPAN}-01", f"00-{TRACE}-{SPAN}-01\n00"),
    ],
)
def test_a_malformed_traceparent_is_none(value: str | None) -> None:
    assert read_traceparent(value) is None
    assert trace_id_of(value) is None


def test_new_traces_have_unique_ids_and_are_not_sampled() -> None:
    contexts = [new_context() for _ in range(100)]
    assert len({context.trace_id for context in contexts}) == 100
    assert not any(context.sampled for context in contexts)
    assert trace_id_of(contexts[0].traceparent) == contexts[0].trace_id
