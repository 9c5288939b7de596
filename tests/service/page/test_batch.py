"""Several pictures: one after the other, each with its own end, and one zip of all results."""

from __future__ import annotations

import asyncio
import io
import zipfile
from pathlib import Path

from PIL import Image
from playwright.async_api import Page, Route, expect

from tests.service.browser import START_S
from tests.service.harness import ScriptedWorker, drawn
from tests.service.page.driving import TEXT, choose, picture, run_button, size_of


async def test_some_fail_and_the_others_are_in_one_zip(page: Page, tmp_path: Path) -> None:
    damaged = drawn(30, 20)[:-40]
    files = [picture("a.png"), picture("b.png", damaged), TEXT, picture("c.png", drawn(20, 10))]
    await choose(page, *files, picture("a.png", drawn(10, 10)))
    rows = page.locator(".entry")
    await expect(rows).to_have_count(5)
    await expect(rows.nth(2)).to_contain_text("This is a text file; the service reads PNG")
    await expect(page.locator("#list-count")).to_have_text("5 pictures, 1 failed")
    await page.get_by_role("button", name="Upscale 4 pictures").click()
    await expect(page.locator("#announcement")).to_have_text("3 of 4 pictures done.")
    await expect(page.locator("#list-count")).to_have_text("3 of 5 pictures done, 2 failed")
    await expect(rows.nth(0)).to_contain_text("Done: 80 × 60, ")
    await expect(rows.nth(1)).to_contain_text("The picture is damaged.")
    async with page.expect_download() as download:
        await page.get_by_role("button", name="Download all (zip)").click()
    assert (await download.value).suggested_filename == "pictures.zip"
    await (await download.value).save_as(tmp_path / "all.zip")
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        assert archive.testzip() is None
        sizes = {name: size_of(archive.read(name)) for name in archive.namelist()}
    assert sizes == {"a@2x.png": (80, 60), "c@2x.png": (40, 20), "a@2x (2).png": (20, 20)}


async def test_a_row_shows_its_picture_and_its_problem(page: Page) -> None:
    await choose(page, picture("a.png"), TEXT, picture("c.png", drawn(20, 10)))
    await expect(page.locator("#file-name")).to_have_text("a.png")
    await page.locator(".entry-show", has_text="c.png").click()
    await expect(page.locator("#file-size")).to_contain_text("20 × 10")
    await page.locator(".entry-show", has_text="notes.txt").click()
    await expect(page.get_by_role("alert")).to_contain_text("notes.txt cannot be used")
    await expect(page.locator("[aria-current] .entry-name")).to_have_text("notes.txt")
    await page.get_by_role("button", name="Remove notes.txt").click()
    await expect(page.get_by_role("alert")).to_be_hidden()
    await expect(page.locator("#file-name")).to_have_text("c.png")
    await page.get_by_role("button", name="Remove c.png").click()
    await expect(page.locator("#list")).to_be_hidden()
    await expect(page.locator("#file-name")).to_have_text("a.png")
    await expect(run_button(page)).to_have_text("Upscale")


async def test_a_busy_service_is_asked_again_as_late_as_it_wants(page: Page) -> None:
    answers = [(429, "7", b"{}"), (503, "3", b"<html>proxy</html>"), (0, "", b"")]
    asked: list[int] = []

    async def answer(route: Route) -> None:
        asked.append(1)
        status, after, body = answers[min(len(asked), len(answers)) - 1]
        if status == 0:
            await route.continue_()
        else:
            await route.fulfill(status=status, headers={"Retry-After": after}, body=body)

    await page.clock.install()
    await page.route("**/upscale", answer)
    await choose(page, picture("a.png"), picture("b.png"))
    row = page.locator(".entry").first
    await run_button(page).click()
    await expect(row).to_contain_text("The service is busy, again in 7 s")
    assert len(asked) == 1
    await page.clock.fast_forward(6500)
    assert len(asked) == 1
    await page.clock.fast_forward(1000)
    await expect(row).to_contain_text("The service is busy, again in 3 s")
    await page.clock.fast_forward(4000)
    await expect(page.locator("#list-count")).to_have_text("2 of 2 pictures done")


async def test_one_picture_is_in_work_at_a_time_and_cancel_ends_all(
    page: Page, worker: ScriptedWorker
) -> None:
    """There is one worker."""
    worker.go.clear()
    await choose(page, *(picture(f"{n}.png") for n in range(3)))
    await run_button(page).click()
    async with asyncio.timeout(START_S):
        await worker.claimed.wait()
    states = ".entry[data-state={}]"
    await expect(page.locator(states.format("working"))).to_have_count(1)
    await expect(page.locator(states.format("queued"))).to_have_count(2)
    await expect(page.locator("#progress-text")).to_contain_text("0 of 3 pictures done. Working, ")
    await page.get_by_role("button", name="Cancel").click()
    async with asyncio.timeout(START_S):
        await worker.cancelled.wait()
    await expect(page.locator(states.format("idle"))).to_have_count(3)
    worker.go.set()
    await page.get_by_role("button", name="Upscale 3 pictures").click()
    await expect(page.locator("#list-count")).to_have_text("3 of 3 pictures done")
    assert len(worker.claims) == 4
    await expect(run_button(page)).to_have_text("Upscale 3 pictures again")


async def test_fifty_pictures_are_the_most(page: Page) -> None:
    image = io.BytesIO()
    Image.new("RGB", (2, 2)).save(image, "png")
    files = [picture(f"{n}.png", image.getvalue()) for n in range(53)]
    await choose(page, *files)
    await expect(page.locator(".entry")).to_have_count(50)
    words = "Only 50 pictures at once: 3 were left out."
    await expect(page.locator("#announcement")).to_have_text(words)


async def test_two_workers_get_two_pictures_at_a_time(page: Page, worker: ScriptedWorker) -> None:
    async def two(route: Route) -> None:
        await route.fulfill(json={"workers": [{"ready": True}, {"ready": True}, {"ready": False}]})

    worker.go.clear()
    await page.route("**/health/ready", two)
    async with page.expect_response("**/health/ready"):
        await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    await choose(page, *(picture(f"{n}.png") for n in range(3)))
    await run_button(page).click()
    await expect(page.locator(".entry[data-state=working]")).to_have_count(2)
    await expect(page.locator(".entry[data-state=queued]")).to_have_count(1)
    worker.go.set()
    await expect(page.locator("#list-count")).to_have_text("3 of 3 pictures done")
