"""The page of the HTTP interface, `/docs`."""

from __future__ import annotations

from playwright.async_api import Page, expect

from tests.service.harness import RunningGateway


async def test_docs_need_no_other_server(blank: Page, served: RunningGateway) -> None:
    here = f"http://127.0.0.1:{served.port}/"
    asked: list[str] = []
    blank.on("request", lambda request: asked.append(request.url))
    await blank.goto(f"{here}docs")
    await expect(blank.locator(".opblock-summary-path", has_text="/upscale")).to_be_visible()
    await blank.locator(".opblock-get", has_text="/health/live").click()
    await blank.get_by_role("button", name="Try it out").click()
    await blank.get_by_role("button", name="Execute").click()
    await expect(blank.locator(".live-responses-table .microlight").first).to_contain_text("live")
    assert f"{here}health/live" in asked
    assert [url for url in asked if not url.startswith((here, "data:"))] == []
