"""The page for everybody: axe-core finds no fault, and keyboard or phone alone suffice."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.service.browser import START_S
from tests.service.harness import ScriptedWorker
from tests.service.page.driving import (
    TEXT,
    choose,
    frames,
    picture,
    run_button,
    still,
    transparent,
    unfold,
    upscaled,
)

AXE = Path(sys.prefix) / "node_modules" / "axe-core" / "axe.min.js"
FAULTS = """async () => {
  const {violations} = await axe.run(document, {resultTypes: ["violations"]});
  const where = (nodes) => nodes.map(({html, failureSummary}) => `${html} ${failureSummary}`);
  return violations.map(({id, impact, nodes}) => ({id, impact, where: where(nodes)}));
}"""


async def assert_no_fault(page: Page, state: str) -> None:
    """Fail if axe-core finds a serious or critical fault of the page as it is."""
    # Not as an element of the page, whose policy allows no script but its own.
    await page.evaluate(AXE.read_text(encoding="utf-8"))
    faults = await page.evaluate(FAULTS)
    severe = [fault for fault in faults if fault["impact"] in {"serious", "critical"}]
    assert severe == [], f"{state}: {json.dumps(severe, indent=1)}"


@pytest.mark.skipif(not AXE.exists(), reason="axe-core is not installed: run `make axe`")
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_no_fault_in_any_state(
    page: Page, worker: ScriptedWorker, scheme: str
) -> None:
    await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    await assert_no_fault(page, "empty")
    worker.go.clear()
    await choose(page)
    await assert_no_fault(page, "picture")
    for name in ("All networks", "Time limit"):
        await unfold(page, name)
    await page.get_by_role("checkbox", name="Automatic").uncheck()
    await assert_no_fault(page, "all settings")
    await page.get_by_role("checkbox", name="Automatic").check()
    await run_button(page).click()
    async with asyncio.timeout(START_S):
        await worker.claimed.wait()
    await assert_no_fault(page, "working")
    worker.go.set()
    await expect(page.locator(".comparing")).to_be_visible()
    await unfold(page, "Technical facts")
    await assert_no_fault(page, "result")
    await page.locator("#file").set_input_files(TEXT)
    await expect(page.get_by_role("alert")).to_be_visible()
    await assert_no_fault(page, "error")
    await page.locator("#file").set_input_files([picture("a.png"), TEXT, picture("b.png")])
    await expect(page.locator(".entry")).to_have_count(3)
    await run_button(page).click()
    await expect(page.locator("#list-count")).to_have_text("2 of 3 pictures done, 1 failed")
    await assert_no_fault(page, "batch")


@pytest.mark.skipif(not AXE.exists(), reason="axe-core is not installed: run `make axe`")
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_no_fault_in_frames_and_background(page: Page, scheme: str) -> None:
    await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    await choose(page, frames("a.gif", "gif"))
    await page.get_by_label("Format").select_option("jpeg")
    await run_button(page).click()
    await expect(page.get_by_role("button", name="Use the first frame")).to_be_visible()
    await assert_no_fault(page, "animation")
    await page.locator("#file").set_input_files(still("a.tif", transparent(), "tiff"))
    await expect(page.get_by_role("spinbutton", name="Page")).to_be_visible()
    await expect(page.get_by_label("Background")).to_be_visible()
    await assert_no_fault(page, "unseen, with a background")


async def tab_to(page: Page, selector: str) -> None:
    """Press Tab until an element has the focus."""
    for _ in range(40):
        if await page.locator(f"{selector}:focus").count():
            return
        await page.keyboard.press("Tab")
    pytest.fail(f"Tab does not lead to {selector}")


async def test_the_keyboard_alone_leads_from_the_empty_page_to_the_download(page: Page) -> None:
    keyboard = page.keyboard
    await tab_to(page, "#choose")
    async with page.expect_file_chooser() as chooser:
        await keyboard.press("Enter")
    await (await chooser.value).set_files(picture())
    await expect(run_button(page)).to_be_focused()
    await keyboard.press("Shift+Tab")  # the last of the settings
    while not await page.locator("#choices :focus").count():
        await keyboard.press("Shift+Tab")
    for name in ("photo", "compressed", "best", "automatic"):
        await keyboard.press("ArrowDown")
        await expect(page.locator("#choices :checked")).to_have_value(name)
    while not await page.locator("#scale:focus").count():
        await keyboard.press("Shift+Tab")
    await keyboard.press("ArrowRight")
    await tab_to(page, "#run")
    await keyboard.press("Enter")
    await expect(page.locator(".comparing")).to_be_visible()
    await expect(page.locator("#download")).to_be_focused()
    async with page.expect_download() as download:
        await keyboard.press("Enter")
    assert (await download.value).suggested_filename == "photo@2.01x.png"
    await tab_to(page, "#viewport")
    await keyboard.press("+")
    await tab_to(page, "#divider")
    await keyboard.press("ArrowLeft")
    await expect(page.locator("#divider")).to_have_attribute("aria-valuenow", "49")


class TestPhone:
    @pytest.fixture
    def phone(self) -> bool:
        return True

    async def test_nothing_speaks_of_dropping(self, page: Page) -> None:
        assert "drop" not in (await page.locator("body").inner_text()).lower()
        await expect(page.get_by_role("heading", name="Make pictures larger")).to_be_visible()

    async def test_the_result_comes_first_and_nothing_scrolls_sideways(self, page: Page) -> None:
        await choose(page, picture("a-very-long-name-of-a-photograph-from-some-camera-0001.png"))
        await upscaled(page)
        await page.wait_for_function("window.scrollY < 100")
        download = await page.get_by_role("link", name="Download").bounding_box()
        assert download is not None
        assert download["y"] + download["height"] < 250
        frame = await page.locator("#viewport").bounding_box()
        assert frame is not None
        assert frame["y"] > download["y"]
        assert await page.evaluate("document.documentElement.scrollWidth") == 360
        await page.locator("#file").set_input_files([picture(f"{n}.png") for n in range(2)])
        await expect(page.locator(".entry")).to_have_count(2)
        await run_button(page).click()
        zip_button = page.get_by_role("button", name="Download all")
        await expect(page.locator("#list-count")).to_have_text("2 of 2 pictures done")
        await expect(zip_button).to_be_in_viewport()
        await expect(zip_button).to_be_focused()
        assert await page.evaluate("document.documentElement.scrollWidth") == 360
