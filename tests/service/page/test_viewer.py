"""Comparison, zoom and pan, by mouse, keys, wheel and fingers."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Locator, Page, expect

from tests.service.harness import drawn
from tests.service.page.driving import choose, picture, upscaled

WIDTH = 288
"""Of the test picture."""


async def box_of(part: Locator) -> Any:
    box = await part.bounding_box()
    assert box is not None
    return box


@pytest.fixture
async def large(page: Page) -> Page:
    """The page with a result that is larger than its frame."""
    await page.get_by_role("button", name="Use the test picture").click()
    await upscaled(page, "4")
    return page


async def test_divider_follows_mouse_and_keys(page: Page) -> None:
    await choose(page)
    await upscaled(page)
    divider = page.get_by_role("slider", name="Divider")
    await expect(divider).to_have_attribute("aria-valuenow", "50")
    frame = await box_of(page.locator("#viewport"))
    middle = frame["y"] + frame["height"] / 2
    await page.mouse.move(frame["x"] + frame["width"] / 2, middle)
    await page.mouse.down()
    await page.mouse.move(frame["x"] + frame["width"] / 4, middle, steps=3)
    await page.mouse.up()
    await expect(divider).to_have_attribute("aria-valuenow", "25")
    clip = await page.locator("#before").evaluate("e => getComputedStyle(e).clipPath")
    assert clip == "inset(0px 75% 0px 0px)"
    keys = {"ArrowRight": 26, "Shift+ArrowLeft": 16, "PageUp": 26, "Home": 0, "End": 100}
    for key, value in keys.items():
        await divider.press(key)
        await expect(divider).to_have_attribute("aria-valuenow", str(value))


async def test_a_comparison_starts_at_100_percent_where_the_result_is_larger(large: Page) -> None:
    await expect(large.get_by_role("radio", name="100 %")).to_be_checked()
    assert (await box_of(large.locator("#after")))["width"] == 4 * WIDTH


async def test_a_comparison_of_a_small_picture_shows_it_whole(page: Page) -> None:
    await choose(page)
    await upscaled(page)
    await expect(page.get_by_role("radio", name="Fit")).to_be_checked()


async def test_zoomed_picture_is_panned(large: Page) -> None:
    await large.get_by_role("radio", name="200 %").check()
    layer = large.locator("#after")
    before = await box_of(layer)
    assert before["width"] == 4 * WIDTH * 2
    await large.locator("#viewport").press("ArrowRight")
    left, canvas = await large.evaluate(
        "['after', 'bicubic'].map(i => document.getElementById(i).getBoundingClientRect().left)"
    )
    assert left == canvas == before["x"] - 40
    for key, name in (("-", "100 %"), ("+", "200 %"), ("+", "400 %"), ("0", "Fit")):
        await large.locator("#viewport").press(key)
        await expect(large.get_by_role("radio", name=name)).to_be_checked()


async def test_the_wheel_zooms_about_the_pointer_and_gives_way_at_the_end(large: Page) -> None:
    frame = await box_of(large.locator("#viewport"))
    layer = large.locator("#after")
    at = (frame["x"] + 0.3 * frame["width"], frame["y"] + 0.6 * frame["height"])

    async def under() -> tuple[float, float]:
        box = await box_of(layer)
        return (at[0] - box["x"]) / box["width"], (at[1] - box["y"]) / box["height"]

    await large.mouse.move(*at)
    before = await under()
    await large.mouse.wheel(0, -200)
    await expect(large.locator("#zoom-value")).to_have_text("143 %")
    await expect(large.locator("#zoom :checked")).to_have_count(0)
    assert await under() == pytest.approx(before, abs=0.002)
    for _ in range(8):
        await large.mouse.wheel(0, 400)
    await expect(large.get_by_role("radio", name="Fit")).to_be_checked()
    await large.set_viewport_size({"width": 1200, "height": 500})
    await large.mouse.move(frame["x"] + 50, 300)
    await large.mouse.wheel(0, 300)
    await large.wait_for_function("window.scrollY > 0")


async def test_a_double_click_zooms_in_and_out(large: Page) -> None:
    viewport = large.locator("#viewport")
    await viewport.dblclick(position={"x": 100, "y": 100})
    await expect(large.get_by_role("radio", name="Fit")).to_be_checked()
    await viewport.dblclick(position={"x": 100, "y": 100})
    await expect(large.get_by_role("radio", name="100 %")).to_be_checked()
    box = await box_of(large.locator("#after"))
    assert box["x"] > (await box_of(viewport))["x"] - 100


class TestFingers:
    """On a phone."""

    @pytest.fixture
    def phone(self) -> bool:
        return True

    async def test_two_fingers_zoom(self, page: Page) -> None:
        await choose(page, picture(content=drawn(300, 200)))
        await upscaled(page, "2")
        await expect(page.get_by_role("radio", name="100 %")).to_be_checked()
        frame = await box_of(page.locator("#viewport"))
        x, y = frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 2
        session = await page.context.new_cdp_session(page)

        async def touch(kind: str, *apart: float) -> None:
            points = [{"x": x + side, "y": y, "id": n} for n, side in enumerate(apart)]
            await session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

        await touch("touchStart", -20)
        await touch("touchStart", -20, 20)
        for half in (30, 40, 50):
            await touch("touchMove", -half, half)
        await touch("touchEnd")
        width = (await box_of(page.locator("#after")))["width"]
        assert width == pytest.approx(600 * 2.5, rel=0.02)
        await expect(page.get_by_role("slider", name="Divider")).to_have_attribute(
            "aria-valuenow", "50"
        )
