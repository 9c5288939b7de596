"""Attacks: their pictures are what they claim, and each runs against a real service."""

from __future__ import annotations

import asyncio
import math
import sys

import httpx
import pytest

from benchmarks.attacks import (
    empty_scans,
    heads,
    large_exif,
    largest_pictures,
    many_uploads,
    slow_callers,
    unread_results,
)
from benchmarks.attacks.attacking import Attempt, attacking
from benchmarks.attacks.registry import ATTACKS
from benchmarks.attacks.run import honest_caller, row_of, send_one
from benchmarks.attacks.wire import Attacker
from benchmarks.pictures import draw_endless_jpeg
from images.decode import decode
from images.exif import bounded
from images.opening import open_image, read_header
from images.picture import PictureKind

LIMIT = 1_000_000
needs_linux = pytest.mark.skipif(
    sys.platform != "linux", reason="attackers have an address of their own"
)


def test_empty_scans_cost_bytes_by_their_number_alone() -> None:
    plain, repeated = (draw_endless_jpeg(scans, 64) for scans in (1, 501))
    assert repeated.count(b"\xff\xda") == plain.count(b"\xff\xda") + 500
    assert len(repeated) - len(plain) < 500 * 50
    assert read_header(repeated, LIMIT).pixels == 64 * 64


@pytest.mark.parametrize("write", [large_exif.jpeg_with, large_exif.webp_with])
def test_large_records_are_where_readers_look(write) -> None:
    record = large_exif.record_of_fractions(200_000)
    assert bounded(record) == b""
    small = write(large_exif.record_of_fractions(400))
    assert len(open_image(small, LIMIT).exif) == len(large_exif.record_of_fractions(400))
    assert open_image(write(record), LIMIT).exif == b""


def test_the_largest_pictures_have_their_layout() -> None:
    palette = decode(largest_pictures.palette_with_late_noise(200), LIMIT)
    assert palette.kind is PictureKind.PALETTE
    flat = palette.pixels.samples[: 200 - largest_pictures.NOISY_ROWS]
    assert (flat == flat[0, 0]).all()
    deep = decode(largest_pictures.deep_with_alpha(200), LIMIT).pixels
    assert (deep.samples.shape, deep.bit_depth) == ((200, 200, 4), 16)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attacks that take little of the machine."""
    for module, name, value in (
        (empty_scans, "SIDE", 64),
        (empty_scans, "SCANS", (10, 1)),
        (large_exif, "SIZE", 200_000),
        (largest_pictures, "SIDE", 120),
        (many_uploads, "SIZE", 200_000),
        (many_uploads, "LARGEST", 100_000),
        (many_uploads, "CALLERS", 2),
        (heads, "CALLERS", 2),
        (slow_callers, "CONNECTIONS", 5),
        (slow_callers, "UPLOADS", 4),
        (unread_results, "SIDE", 64),
        (unread_results, "CALLERS", 3),
    ):
        monkeypatch.setattr(module, name, value)


@needs_linux
@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("name", [name for name in ATTACKS if name != "none"])
async def test_an_attack_goes_on_until_it_is_stopped(name: str, service_url: str) -> None:
    attacker = Attacker(httpx.URL(service_url).port or 0)
    attack = ATTACKS[name]()
    await attack.prepare(attacker)
    before = attacker.sent
    running = asyncio.create_task(attack.run(attacker))
    if name == "idle-connections":
        await asyncio.sleep(0.2)
    else:
        async with asyncio.timeout(30):
            while attacker.sent == before:  # noqa: ASYNC110  changes with the connections
                await asyncio.sleep(0.01)
    assert not running.done()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert running.cancelled()


@needs_linux
async def test_a_head_that_is_too_large_is_refused_or_cut_off(service_url: str) -> None:
    attacker = Attacker(httpx.URL(service_url).port or 0)
    running = asyncio.create_task(ATTACKS["many-headers"]().run(attacker))
    async with asyncio.timeout(30):
        while attacker.answers.total() < 20:  # noqa: ASYNC110  changes with the connections
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert set(attacker.answers) <= {"431", "closed"}


@needs_linux
def test_an_attack_in_its_own_process_reports_what_it_did(service_url: str) -> None:
    port = httpx.URL(service_url).port or 0
    with honest_caller(service_url) as client, attacking("endless-heads", port, 1.0) as attack:
        attack.begin()
        statuses = []
        while attack.goes_on():
            statuses.append(send_one(client)[0])
        attempt = attack.attempt()
    assert set(statuses) == {200}
    assert attempt.sent > 0
    assert set(attempt.answers) <= {"431", "closed"}


def test_a_row_has_times_of_pictures_and_counts_of_all_answers() -> None:
    attempt = Attempt(10, {"200": 1})
    samples = [(200, 10.0), (200, 30.0), (503, 1.0), (429, 1.0), (0, 60_000.0)]
    row = row_of("none", attempt, samples, {})
    assert (row.p50_ms, row.statuses) == (20.0, {0: 1, 200: 2, 429: 1, 503: 1})
    assert [row.answered(hundreds) for hundreds in (0, 2, 4, 5)] == [1, 2, 1, 1]
    assert math.isnan(row_of("none", attempt, [(503, 1.0)], {}).p99_ms)


@needs_linux
def test_an_attacker_that_fails_is_an_error() -> None:
    with (
        attacking("unread-results", 1, 1.0) as attack,
        pytest.raises(RuntimeError, match="ended by itself"),
    ):
        attack.begin()
