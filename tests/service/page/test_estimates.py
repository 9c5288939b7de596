"""What the page says before anything is sent: the time that it would take, and the limits."""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.async_api import Error as PlaywrightError
from playwright.async_api import Page, Route, expect

from jobs.formats import WRITTEN, labels
from models.catalog import Catalog, CatalogRead
from service.catalog_store import CatalogStore
from tests.service.browser import START_S
from tests.service.harness import (
    MODEL,
    UNSERVED,
    ScriptedWorker,
    Start,
    cost_by_pixels,
    drawn,
    model_entry,
)
from tests.service.page.driving import (
    choose,
    choose_another,
    noise,
    opened,
    picture,
    set_number,
    unfold,
    upscaled,
)


async def test_the_estimate_is_shown_before_the_picture_is_sent(
    page: Page, worker: ScriptedWorker
) -> None:
    estimate = page.locator("#time-estimate")
    await expect(estimate).to_be_empty()
    await choose(page)
    await expect(estimate).to_have_text("About 0.1 s.")
    await expect(estimate).to_have_attribute("aria-live", "polite")
    await expect(page.locator("#choices .option-time")).to_have_text(["0.1 s"] * 4)
    await unfold(page, "Time limit")
    await set_number(page, "Time limit, seconds", "0.13")
    await expect(estimate).to_have_text(
        "About 0.1 s. The fastest network needs 0.06 s, the best 0.1 s."
    )
    mark = page.locator("#mark-best")
    await expect(mark).to_be_visible()
    at = await mark.evaluate("e => Number(e.style.getPropertyValue('--at'))")
    assert at == pytest.approx(math.log(124 / 100) / math.log(120_000 / 100), abs=0.01)
    await expect(page.locator("#mark-fastest")).to_be_hidden()
    assert not worker.claims


async def test_each_network_says_what_it_would_need(
    blank: Page, start: Start, worker: ScriptedWorker
) -> None:
    assert worker.go.is_set()
    asked: list[str] = []
    blank.on("request", lambda request: asked.append(request.url))
    rare = model_entry(UNSERVED).model_copy(update={"on_demand": True, "in_ladder": False})
    catalog = Catalog(default=MODEL, models=(model_entry(MODEL), rare))
    async with start(CatalogStore(lambda _: CatalogRead(catalog))) as served:
        page = await opened(blank, served)
        await choose(page)
        times = page.locator("#network-list .option-time")
        await expect(page.locator("#choices .option-time").first).to_have_text("0.1 s")
        await expect(times).to_have_text(["", "", ""])
        await unfold(page, "All networks")
        await expect(times).to_have_text(["0.1 s", "0.1 s", "loads first"])
        await blank.goto("about:blank")
    assert [url for url in asked if f"model={UNSERVED}" in url] == []


async def test_a_large_picture_gets_the_time_that_it_needs(
    blank: Page, start: Start, worker: ScriptedWorker
) -> None:
    """As a photograph of a phone does."""
    worker.costs = cost_by_pixels(10_000_000.0)
    await worker.heartbeat()
    async with start() as served:
        page = await opened(blank, served)
        await choose(page)
        await set_number(page, "Scale", "2")
        await expect(page.locator("#time-estimate")).to_have_text("About 54 s.")
        await upscaled(page, "2")
        assert worker.claims[0].job.budget_ms == pytest.approx(73_450, abs=10)
        await blank.goto("about:blank")


ESTIMATE = {"wait_ms": 0, "smallest_budget_ms": 9, "output_width": 1, "output_height": 1}

SLIDE = """value => {
  const slider = document.getElementById("scale");
  slider.value = value;
  slider.dispatchEvent(new Event("input", {bubbles: true}));
}"""


async def test_only_the_newest_estimate_counts_and_failures_are_silent(page: Page) -> None:
    asked = []
    asks, late = asyncio.Event(), asyncio.Event()

    async def answer(route: Route) -> None:
        query = parse_qs(urlsplit(route.request.url).query)
        scale = float(query["scale"][0])
        if "strength" not in query and "model" not in query:
            asked.append(scale)
        if scale == 5:
            await route.fulfill(status=500, body="no")
            return
        if scale == 3:
            asks.set()
            await late.wait()
        times = {"budget_ms": 1000 * scale, "safe_ms": 1000 * scale, "expected_ms": 1000 * scale}
        body = ESTIMATE | {
            "rungs": [{"model": "m", "width": 1} | times],
            "default_budget_ms": 10_000,
        }
        with contextlib.suppress(PlaywrightError):  # nobody waits for the late one
            await route.fulfill(json=body)

    await page.route("**/estimate?*", answer)
    estimate = page.locator("#time-estimate")
    await choose(page)
    await expect(estimate).to_have_text("About 2 s.")
    for scale in ("6", "7", "3"):
        await page.evaluate(SLIDE, scale)
    async with asyncio.timeout(START_S):
        await asks.wait()
    await page.evaluate(SLIDE, "4")
    await expect(estimate).to_have_text("About 4 s.")
    late.set()
    await page.evaluate("new Promise(resolve => setTimeout(resolve, 100))")
    await expect(estimate).to_have_text("About 4 s.")
    await page.evaluate(SLIDE, "5")
    await expect(estimate).to_be_empty()
    await expect(page.get_by_role("alert")).to_be_hidden()
    await page.evaluate(SLIDE, "4")
    await expect(estimate).to_have_text("About 4 s.")
    assert asked == [2, 3, 4, 5, 4]


async def test_an_estimate_leaves_what_is_half_typed(page: Page) -> None:
    typed = asyncio.Event()

    async def answer(route: Route) -> None:
        await typed.wait()
        await route.continue_()

    await page.route("**/estimate?*", answer)
    await choose(page)
    await unfold(page, "Time limit")
    number = page.get_by_role("spinbutton", name="Time limit, seconds")
    await number.fill("3.21")
    typed.set()
    await expect(page.locator("#time-estimate")).not_to_be_empty()
    await number.press("Tab")
    await expect(number).to_have_value("3.21")
    await expect(page.get_by_role("checkbox", name="Automatic")).not_to_be_checked()


async def test_a_picture_that_comes_leaves_what_is_half_typed(page: Page) -> None:
    scale = page.get_by_role("spinbutton", name="Scale")
    await scale.fill("4")
    await page.locator("#file").set_input_files(picture())
    await expect(page.locator("#file-name")).to_have_text("photo.png")
    await scale.press("Tab")
    await expect(page.locator("#size-preview")).to_contain_text("becomes 160 × 120 pixels.")


async def test_limits_of_the_service_are_shown_before_anything_is_sent(
    blank: Page, start: Start, worker: ScriptedWorker
) -> None:
    limits = {"max_body_bytes": 4000, "max_source_pixels": 50_000, "max_output_pixels": 400_000}
    async with start(**limits) as served:
        page = await opened(blank, served)
        warnings = page.locator("#warnings")
        await choose(page)
        await expect(warnings).to_be_empty()
        await choose_another(page, noise(224, 224))
        await expect(warnings).to_contain_text("this service takes at most 4 kB.")
        await expect(warnings).to_contain_text(
            "50176 pixels; this service takes at most 50000 pixels."
        )
        await choose_another(page, drawn(2500, 2))
        await set_number(page, "Scale", "8")
        await expect(warnings.locator("li")).to_have_text(re.compile("was trained up to 4×;"))
        await page.get_by_label("Format").select_option("webp")
        words = "WebP holds at most 16382 pixels a side. Choose a smaller size, or the format "
        fitting = labels(f for f in WRITTEN if f.max_side >= 20_000)
        await expect(warnings).to_contain_text(f"{words}{fitting}.")
        await choose_another(page, drawn(100, 100))
        await expect(warnings).to_contain_text(
            "0.6 megapixels; this service makes at most 0.4 megapixels. Choose a smaller size."
        )
        assert worker.claims == []
        await blank.goto("about:blank")
