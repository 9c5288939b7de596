"""Sizes of pictures that the browser cannot show: the page reads what the service reads."""

from __future__ import annotations

import base64
import struct
from typing import Any

import imagecodecs
import numpy as np
from playwright.async_api import FilePayload, expect
from playwright.async_api import Page as Tab

from benchmarks.heic_pictures import box, coded, grid_item, heic, nclx, picture_item
from benchmarks.tiff_pictures import Page, short, tiff_file
from images.containers import tiff as tags
from images.opening import read_header
from tests.service.harness import ScriptedWorker
from tests.service.page.driving import choose, run_button, set_number
from tests.support import marked_pictures as marked

LIMIT = 100_000_000
STATED = """async ([media, page, content]) => {
  const {statedSize} = await import("/static/stated-size.js");
  const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
  const {width, height} = await statedSize(new Blob([bytes]), media, page);
  return [width, height];
}"""


def flat(width: int, height: int, channels: int = 3) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.full((height, width, channels), 90, np.uint8)


def heic_of(*properties: bytes) -> bytes:
    planes = coded([flat(40, 28, 1)[:, :, 0]] * 3)
    return heic([picture_item(planes, nclx(1, 13), *properties)])


def grid() -> bytes:
    """Four tiles, whose own size is not that of the picture."""
    tiles = [picture_item(coded([flat(64, 64, 1)[:, :, 0]] * 3), nclx(1, 13)) for _ in range(4)]
    return heic([grid_item(2, 2, 100, 120, (2, 3, 4, 5), nclx(1, 13)), *tiles])


def behind(data: bytes) -> bytes:
    """The tables of a HEIC behind a box whose size has 64 bits."""
    first = int.from_bytes(data[:4])
    return data[:first] + struct.pack(">I4sQ", 1, b"free", 16) + data[first:]


def tiff_of(order: str, orientation: int) -> bytes:
    more = {tags.ORIENTATION: short(orientation, order=order)}
    return tiff_file([Page(flat(50, 31), more=more)], order)


def pages() -> bytes:
    """A small copy, and two pages of different sizes."""
    small = Page(flat(5, 3), more={tags.KIND: short(tags.REDUCED)})
    return tiff_file([small, Page(flat(50, 31)), Page(flat(20, 70))])


def jxl_of(width: int, height: int, **options: Any) -> bytes:
    return bytes(imagecodecs.jpegxl_encode(flat(width, height), **options))


def cases() -> list[tuple[str, int, bytes]]:
    """Media type, page and content."""
    clean = box(b"clap", struct.pack(">8I", 30, 1, 20, 1, 0, 1, 0, 1))
    turns = [heic_of(box(b"irot", bytes((turn,)))) for turn in range(4)]
    heics = [*turns, heic_of(clean), heic_of(clean, box(b"irot", b"\1")), grid(), behind(turns[1])]
    sizes = [(1, 1), (8, 8), (264, 256), (300, 200), (320, 240), (1600, 900), (257, 9000), (40, 29)]
    jxls = [jxl_of(*size) for size in sizes] + [jxl_of(40, 29, usecontainer=True)]
    jxls.append(marked.jxl(flat(48, 40)))
    tiffs = [tiff_of(order, orientation) for order in "<>" for orientation in (1, 3, 6)]
    return [
        *(("image/heic", 0, data) for data in heics),
        *(("image/jxl", 0, data) for data in jxls),
        *(("image/tiff", 0, data) for data in tiffs),
        *(("image/tiff", page, pages()) for page in (0, 1)),
    ]


async def stated(page: Tab, media_type: str, number: int, data: bytes) -> list[int]:
    found: list[int] = await page.evaluate(
        STATED, [media_type, number, base64.b64encode(data).decode()]
    )
    return found


async def test_sizes_are_those_that_the_service_reads(page: Tab) -> None:
    for media_type, number, data in cases():
        header = read_header(data, LIMIT, number)
        found = await stated(page, media_type, number, data)
        assert found == [header.width, header.height], (media_type, data[:40])


async def test_a_damaged_file_states_no_size(page: Tab) -> None:
    looped = bytearray(pages())
    (first,) = struct.unpack_from("<I", looped, 4)
    (count,) = struct.unpack_from("<H", looped, first)
    struct.pack_into("<I", looped, first + 2 + 12 * count, first)
    assert await stated(page, "image/tiff", 1, bytes(looped)) == [0, 0]
    for media_type, number, data in cases():
        damages = [b"", data[:7], data[:20], bytes(len(data)), data[:4] + b"\xff" * 400]
        if data[:2] == b"\xff\x0a":
            damages = [b"", data[:2], bytes(len(data))]  # its size is in the next few bytes
        for damaged in damages:
            found = await stated(page, media_type, number, damaged)
            assert found == [0, 0], (media_type, damaged[:40])


def file(name: str, content: bytes) -> FilePayload:
    return {"name": name, "mimeType": "", "buffer": content}


async def test_size_and_time_are_said_before_the_run(page: Tab) -> None:
    for name, content, size in (
        ("a.heic", heic_of(box(b"irot", b"\1")), "28 × 40"),
        ("a.jxl", jxl_of(40, 29), "40 × 29"),
        ("a.tif", tiff_of(">", 6), "31 × 50"),
    ):
        if await page.locator("#view").is_visible():
            await page.locator("#file").set_input_files(file(name, content))
        else:
            await choose(page, file(name, content))
        await expect(page.locator("#file-name")).to_have_text(name)
        await expect(page.locator("#file-size")).to_contain_text(size)
        await set_number(page, "Scale", "2")
        await expect(page.locator("#size-preview")).to_contain_text(f"{size} becomes")
        await expect(page.locator("#after")).to_be_hidden()
        await set_number(page, "Width", "100")
        await expect(page.locator("#size-preview")).to_contain_text("becomes 100 ×")


async def test_a_page_has_a_size_of_its_own(page: Tab, worker: ScriptedWorker) -> None:
    await choose(page, file("scan.tif", pages()))
    await set_number(page, "Scale", "2")
    await expect(page.locator("#size-preview")).to_contain_text("50 × 31 becomes 100 × 62")
    await set_number(page, "Page", "2")
    await expect(page.locator("#size-preview")).to_contain_text("20 × 70 becomes 40 × 140")
    await expect(page.locator("#file-size")).to_contain_text("20 × 70")
    await run_button(page).click()
    await expect(page.locator("#headline")).to_contain_text("40 × 140")
    assert [claim.job.frame for claim in worker.claims] == [1]
