"""A picture that was sent ahead is the one that is asked for, or leaves no trace."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from images.picture import Picture
from images.sandbox.decoder import DecodingInterrupted, End, SandboxedDecoder, supported
from jobs.errors import CorruptImage

LIMIT = 1_000_000
AMPLE_S = 60.0

pytestmark = pytest.mark.skipif(not supported(), reason="the sandbox is for Linux")


@pytest.fixture
def ends() -> list[End]:
    return []


@pytest.fixture
def decoder(ends: list[End]) -> Iterator[SandboxedDecoder]:
    """A decoder whose process is ready."""
    made = SandboxedDecoder(LIMIT, ends.append)
    made.within(AMPLE_S)(drawn(1), LIMIT)
    yield made
    made.close()


def drawn(level: int, side: int = 24) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (side, side), level).save(buffer, "PNG")
    return buffer.getvalue()


def level_of(picture: Picture) -> int:
    (level,) = np.unique(picture.pixels.samples)
    return int(level)


def test_a_picture_that_was_begun_is_returned(decoder: SandboxedDecoder) -> None:
    for level, side in ((7, 24), (8, 400)):  # the second comes through shared memory
        call = decoder.within(AMPLE_S)
        call.begin(drawn(level, side), LIMIT)
        assert call.begun
        assert level_of(call(drawn(level, side), LIMIT)) == level
        assert not call.begun


def test_a_picture_that_was_abandoned_is_not_taken_for_the_next_one(
    decoder: SandboxedDecoder, ends: list[End]
) -> None:
    before = decoder.pid
    for data in (drawn(7), drawn(7, 400), drawn(7)[:40], b"no picture"):
        call = decoder.within(AMPLE_S)
        call.begin(data, LIMIT)
        assert call.begun
        call.abandon(LIMIT)
        assert level_of(decoder.within(AMPLE_S)(drawn(9), LIMIT)) == 9
    assert (decoder.pid, ends) == (before, [])


def test_nothing_is_abandoned_without_a_beginning(decoder: SandboxedDecoder) -> None:
    decoder.within(AMPLE_S).abandon(LIMIT)
    assert level_of(decoder.within(AMPLE_S)(drawn(9), LIMIT)) == 9


def test_an_error_of_a_picture_that_was_begun_is_raised(decoder: SandboxedDecoder) -> None:
    call = decoder.within(AMPLE_S)
    call.begin(drawn(7)[:50], LIMIT)
    with pytest.raises(CorruptImage):
        call(drawn(7)[:50], LIMIT)
    assert level_of(decoder.within(AMPLE_S)(drawn(9), LIMIT)) == 9


def test_only_a_ready_and_idle_process_begins() -> None:
    decoder = SandboxedDecoder(LIMIT)
    early = decoder.within(AMPLE_S)
    early.begin(drawn(7), LIMIT)
    assert not early.begun
    assert level_of(early(drawn(7), LIMIT)) == 7
    first, second = decoder.within(AMPLE_S), decoder.within(AMPLE_S)
    first.begin(drawn(7), LIMIT)
    second.begin(drawn(8), LIMIT)
    assert (first.begun, second.begun) == (True, False)
    assert level_of(first(drawn(7), LIMIT)) == 7
    assert level_of(second(drawn(8), LIMIT)) == 8
    decoder.close()


def test_an_interrupted_picture_that_was_begun_is_not_taken_for_the_next_one(
    decoder: SandboxedDecoder, ends: list[End]
) -> None:
    call = decoder.within(AMPLE_S)
    call.begin(drawn(7), LIMIT)
    call.interrupt()
    with pytest.raises(DecodingInterrupted):
        call(drawn(7), LIMIT)
    assert ends == [End.INTERRUPTED]
    assert level_of(decoder.within(AMPLE_S)(drawn(9), LIMIT)) == 9
