"""The example of the empty page: the test picture, and what the service makes of it.

Run as `python -m tests.service.page.test_example --write`, it makes both files anew.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.async_api import Page, Route, async_playwright, expect

from tests.service.browser import CHROMIUM, FLAGS

STATIC = Path(__file__).parents[3] / "service" / "static"
BEFORE, AFTER = STATIC / "example-before.png", STATIC / "example-after.webp"
SCALE = 4
"""As the caption says."""
MAX_BYTES = 150_000
"""Of both together: every visitor loads them."""
DRAW = """async () => {
  const {drawSample} = await import("/sample.js");
  return [...new Uint8Array(await (await drawSample()).arrayBuffer())];
}"""


def error_of(made: Image.Image, truth: Image.Image) -> float:
    """The mean squared error of two pictures of one size, in squared levels."""
    difference = np.asarray(made.convert("RGB"), float) - np.asarray(truth.convert("RGB"), float)
    return float(np.mean(difference**2))


def upscale(source: Path, target: Path) -> None:
    """Run the best shipped network on a picture."""
    command = (sys.executable, "-m", "cli.main", "upscale", source, "--scale", SCALE)
    subprocess.run([*map(str, command), "-o", str(target), "--overwrite"], check=True)


async def test_the_empty_page_shows_what_the_service_does(page: Page) -> None:
    handle = page.get_by_role("slider", name="Divider between the test picture before and after")
    await expect(handle).to_have_attribute("aria-valuetext", "50 % before, 50 % after")
    await handle.press("PageDown")
    await expect(handle).to_have_attribute("aria-valuetext", "40 % before, 60 % after")
    shown = "[...document.querySelectorAll('.example img')].map((image) => image.naturalWidth)"
    with Image.open(BEFORE) as before:
        assert await page.evaluate(shown) == [SCALE * before.width, before.width]
    await page.get_by_role("button", name="Use the test picture").click()
    await expect(page.locator("#file-size")).to_contain_text("288 × 192")
    await expect(page.locator(".example")).to_be_hidden()


def test_the_example_is_what_the_service_makes_of_the_test_picture(tmp_path: Path) -> None:
    """Closer to a run of today's network than plain resampling is, by 6 dB at least."""
    upscale(BEFORE, tmp_path / "now.png")
    with (
        Image.open(BEFORE) as before,
        Image.open(AFTER) as after,
        Image.open(tmp_path / "now.png") as now,
    ):
        assert after.size == (SCALE * before.width, SCALE * before.height) == now.size
        plain = before.convert("RGB").resize(now.size, Image.Resampling.BICUBIC)
        assert error_of(after, now) < error_of(plain, now) / 4
    assert BEFORE.stat().st_size + AFTER.stat().st_size < MAX_BYTES


async def draw() -> bytes:
    """The test picture as the page draws it, with this machine's fonts."""

    async def answer(route: Route) -> None:
        file = STATIC / Path(route.request.url).name
        await (route.fulfill(path=file) if file.exists() else route.abort())

    async with async_playwright() as playwright:
        flags = [flag for flag in FLAGS if "port" not in flag]
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        page = await browser.new_page()
        await page.route("**/*", answer)
        await page.goto("http://localhost/index.html")
        drawn = bytes(await page.evaluate(DRAW))
        await browser.close()
        return drawn


if __name__ == "__main__" and "--write" in sys.argv:
    BEFORE.write_bytes(asyncio.run(draw()))
    upscale(BEFORE, AFTER)
