"""The field for a key, on a gateway that needs one."""

from __future__ import annotations

from pathlib import Path

from playwright.async_api import Page, expect

from tests.service.harness import ScriptedWorker, Start
from tests.service.page.driving import picture
from tests.support.key_files import new_key


async def test_a_key_is_asked_for_kept_and_sent(
    blank: Page, start: Start, worker: ScriptedWorker, tmp_path: Path
) -> None:
    assert worker.go.is_set()
    key = new_key(tmp_path / "keys.toml", "shop")["Authorization"].removeprefix("Bearer ")
    async with start(keys=tmp_path / "keys.toml") as served:
        here = f"http://127.0.0.1:{served.port}/"
        await blank.goto(here)
        form, field = blank.locator("#key-form"), blank.locator("#key")
        await expect(form).to_be_visible()
        await field.fill("anysr_00000000_wrong")
        await field.press("Enter")
        await expect(form).to_be_visible()
        await expect(field).to_have_value("")
        await field.fill(f" {key}\n")
        await field.press("Enter")
        await expect(form).to_be_hidden()
        await expect(blank.locator("#choices label")).to_have_count(4)
        await blank.set_input_files("#file", picture())
        await blank.click("#run")
        await expect(blank.locator("#result")).to_be_visible()
        await blank.reload()
        await expect(blank.locator("#choices label")).to_have_count(4)
        await expect(form).to_be_hidden()


async def test_no_key_is_asked_for_where_none_is_needed(page: Page) -> None:
    await expect(page.locator("#key-form")).to_be_hidden()
