"""/docs in a real browser: "Try it out" sends a picture and shows the one that comes back."""

from __future__ import annotations

import pytest
from playwright.async_api import FilePayload, Page, expect

from tests.service.browser import CHROMIUM
from tests.service.harness import RunningGateway, drawn

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")


async def operation(page: Page, served: RunningGateway, name: str) -> Page:
    """Open an operation of the page and press its "Try it out"."""
    await page.goto(f"http://127.0.0.1:{served.port}/docs")
    block = page.locator(f"#operations-{name}")
    await block.locator(".opblock-summary-control").click()
    await block.get_by_role("button", name="Try it out").click()
    return page


@pytest.mark.parametrize("kind", ["multipart/form-data", "application/octet-stream", "image/*"])
async def test_a_picture_is_sent_and_comes_back(
    blank: Page,
    served: RunningGateway,
    kind: str,
) -> None:
    page = await operation(blank, served, "upscale-upscale")
    block = page.locator("#operations-upscale-upscale")
    await block.get_by_label("Request content type").select_option(kind)
    await block.locator('tr[data-param-name="scale"] input').fill("2.5")
    photo: FilePayload = {"name": "photo.png", "mimeType": "image/png", "buffer": drawn()}
    await block.locator('input[type="file"]').set_input_files(photo)
    async with page.expect_response("**/upscale**") as answered:
        await block.get_by_role("button", name="Execute").click()
    answer = await answered.value
    assert answer.status == 200, await answer.text()
    shown = block.locator(".live-responses-table img")
    await expect(shown).to_be_visible()
    assert await shown.evaluate("i => [i.naturalWidth, i.naturalHeight]") == [50, 30]


async def test_docs_need_no_other_server(blank: Page, served: RunningGateway) -> None:
    here = f"http://127.0.0.1:{served.port}/"
    asked: list[str] = []
    blank.on("request", lambda request: asked.append(request.url))
    await blank.goto(f"{here}docs")
    await expect(blank.locator(".opblock-summary-path", has_text="/upscale")).to_be_visible()
    await blank.locator("#operations-service-live").click()
    await blank.get_by_role("button", name="Try it out").click()
    await blank.get_by_role("button", name="Execute").click()
    await expect(blank.locator(".live-responses-table .microlight").first).to_contain_text("live")
    assert f"{here}health/live" in asked
    assert [url for url in asked if not url.startswith((here, "data:"))] == []
