"""A file that is far too large for its pixels is refused by its beginning, before it is queued."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.pictures import draw_jpeg
from benchmarks.specimens import HEIGHT, WIDTH, specimens
from images.file_size import SPARE_BYTES, most_file_bytes
from images.frame_bytes import frame_bytes
from jobs.errors import BodyTooLarge
from jobs.formats import ImageFormat
from service.picture_buffer import FIRST_LOOK, LAST_LOOK, PictureBuffer
from tests.service.harness import RunningGateway, ScriptedWorker, assert_problem
from tests.service.test_bad_inputs_http import assert_nothing_enqueued, early_answer
from tests.service.test_uploads_http import request_to

PAD = b"\x7f"
"""No chunk, box or block begins with such bytes and lies within a file."""
DECLARED = 30_000_000
MOST = most_file_bytes(WIDTH * HEIGHT)
PIECE = 1 << 16


@pytest.mark.parametrize("kind", ["raw", "form"])
async def test_a_declared_length_is_refused_once_the_file_has_stated_its_size(
    served: RunningGateway, worker: ScriptedWorker, kind: str
) -> None:
    picture = specimens()["png RGB"].ljust(DECLARED, PAD)
    head, content = request_to(served.port, kind, picture)
    members = await early_answer(served, head + content[: 2 * FIRST_LOOK], PAD)
    assert members["code"] == "body_too_large"
    assert members["max_body_bytes"] == MOST
    assert f"too large for the {WIDTH * HEIGHT} pixels" in members["detail"]
    await assert_nothing_enqueued(served, worker)


async def test_a_file_that_states_its_size_late_is_refused_when_it_is_whole(
    served: RunningGateway, worker: ScriptedWorker
) -> None:
    """A GIF tells only by its end that it has no further frames."""
    picture = specimens()["gif"]
    most = SPARE_BYTES + (frame_bytes(picture, ImageFormat.GIF) or 0)
    members = assert_problem(
        await served.upscale(picture.ljust(most + 1, PAD)), 413, "body_too_large"
    )
    assert members["max_body_bytes"] == most
    await assert_nothing_enqueued(served, worker)
    assert (await served.upscale(picture.ljust(most, PAD))).status_code == 200


@pytest.mark.usefixtures("worker")
async def test_a_photograph_with_a_film_behind_it_is_accepted(served: RunningGateway) -> None:
    photograph = draw_jpeg(2000, 1000)
    answer = await served.upscale(photograph.ljust(DECLARED, PAD), scale=1)
    assert answer.status_code == 200


def arriving(picture: bytes, expected: int) -> int:
    """Write a picture in pieces; return how many bytes were written when it was refused, and its
    size if it was not."""
    buffer = PictureBuffer(expected)
    for at in range(0, len(picture), PIECE):
        try:
            buffer.write(picture[at : at + PIECE])
        except BodyTooLarge:
            return at + PIECE
    assert buffer.picture() == picture
    return len(picture)


@pytest.mark.parametrize("name", ["png RGB", "jpeg RGB", "bmp RGB"])
def test_without_a_declared_length_the_bytes_that_arrive_count(name: str) -> None:
    picture = specimens()[name].ljust(DECLARED, PAD)
    assert MOST < arriving(picture, 0) <= MOST + PIECE
    assert arriving(picture[:MOST], 0) == MOST
    assert arriving(picture, DECLARED) == PIECE


@pytest.mark.parametrize("before", [FIRST_LOOK, PIECE, LAST_LOOK - PIECE])
def test_the_size_may_stand_behind_a_profile_or_preview(before: int) -> None:
    whole = specimens()["jpeg RGB"]
    parts = [b"\xff\xed\xff\xff" + bytes(0xFFFD)] * (before // 0xFFFF)
    picture = whole[:2] + b"".join(parts) + whole[2:]
    refused_at = arriving(picture.ljust(DECLARED, PAD), DECLARED)
    assert len(picture) < refused_at + PIECE
    assert refused_at <= max(PIECE, 8 * len(picture), LAST_LOOK + PIECE)


def test_any_bytes_below_the_spare_ones_are_taken() -> None:
    noise = np.random.default_rng(0).bytes(SPARE_BYTES)
    assert arriving(noise, SPARE_BYTES) == SPARE_BYTES
    assert arriving(specimens()["png RGB"].ljust(SPARE_BYTES, PAD), 0) == SPARE_BYTES
