"""Fixtures: a real Chromium, and an empty page in it."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit

import pytest
from playwright.async_api import ConsoleMessage, Page, async_playwright

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--headless=new",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
TIMEOUT_MS = 8000
START_S = 30
HANDLED = ("/upscale", "/estimate", "/models", "/health/ready")
"""Addresses whose errors are the page's to handle."""


@pytest.fixture(scope="module")
def browser_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where one browser listens for all tests of a file: it starts slowly, a fresh context does
    not."""
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed")
    profile = tmp_path_factory.mktemp("chromium")
    port_file = profile / "DevToolsActivePort"
    command = (CHROMIUM, *FLAGS, f"--user-data-dir={profile}", "about:blank")
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as browser:
        try:
            deadline = time.monotonic() + START_S
            while not (port_file.exists() and port_file.read_text().count("\n")):
                assert browser.poll() is None, "the browser ended"
                assert time.monotonic() < deadline, "the browser did not start"
                time.sleep(0.05)
            yield f"http://127.0.0.1:{port_file.read_text().split()[0]}"
        finally:
            browser.terminate()


@pytest.fixture
def phone() -> bool:
    """Whether the browser is that of a phone; a class of tests overrides it."""
    return False


@pytest.fixture
async def blank(browser_url: str, phone: bool) -> AsyncIterator[Page]:
    """An empty page of which nothing may be said on the console: no error, no CSP violation."""
    said: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        # The browser itself notes each answer of 400 and more.
        path = urlsplit(message.location["url"]).path
        if message.type in {"error", "warning"} and not path.endswith(HANDLED):
            said.append(message.text)

    async with async_playwright() as playwright:
        browser = await playwright.chromium.connect_over_cdp(browser_url)
        context = await browser.new_context(
            viewport={"width": 360, "height": 740} if phone else {"width": 1200, "height": 900},
            has_touch=phone,
            is_mobile=phone,
            permissions=["clipboard-read", "clipboard-write"],
        )
        page = await context.new_page()
        page.set_default_timeout(TIMEOUT_MS)
        page.on("console", listen)
        page.on("pageerror", lambda error: said.append(str(error)))
        yield page
        await context.close()
    assert said == []
