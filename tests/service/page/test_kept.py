"""What survives a reload, and for how long."""

from __future__ import annotations

from playwright.async_api import Page, expect

from tests.service.harness import drawn
from tests.service.page.driving import choose, picture, run_button, upscaled

RECORDS = """async () => {
  const request = indexedDB.open("anysr", 1);
  await new Promise((resolve) => request.addEventListener("success", resolve));
  const store = request.result.transaction("pictures", "readwrite").objectStore("pictures");
  const all = store.getAll();
  await new Promise((resolve) => all.addEventListener("success", resolve));
  request.result.close();
  return all.result.map(({file, bytes}) => [file.name, bytes]);
}"""

AGE = """async (changes) => {
  const request = indexedDB.open("anysr", 1);
  await new Promise((resolve) => request.addEventListener("success", resolve));
  const store = request.result.transaction("pictures", "readwrite").objectStore("pictures");
  const all = store.getAll();
  await new Promise((resolve) => all.addEventListener("success", resolve));
  const old = all.result.find(({file}) => file.name === changes.name);
  await new Promise((resolve) => {
    store.put({...old, ...changes.fields}).addEventListener("success", resolve);
  });
  request.result.close();
}"""


async def test_a_result_survives_a_reload_until_it_is_forgotten(page: Page) -> None:
    await choose(page, picture("photo.png"))
    await upscaled(page, "2")
    headline = await page.locator("#headline").inner_text()
    await page.reload()
    await expect(page.locator("#headline")).to_have_text(headline)
    await expect(page.locator(".comparing")).to_be_visible()
    await expect(page.locator("#download")).to_have_attribute("download", "photo@2x.png")
    await page.get_by_role("button", name="Forget my pictures").click()
    await expect(page.get_by_role("button", name="Choose pictures")).to_be_focused()
    assert await page.evaluate(RECORDS) == []
    await page.reload()
    await expect(page.locator("#empty")).to_be_visible()


async def test_what_is_kept_is_bounded_and_grows_old(page: Page) -> None:
    await choose(page, *(picture(f"{n}.png", drawn(8 + n, 8)) for n in range(4)))
    await run_button(page).click()
    await expect(page.locator("#list-count")).to_have_text("4 of 4 pictures done")
    assert [name for name, _ in await page.evaluate(RECORDS)] == [f"{n}.png" for n in range(4)]
    await page.evaluate(AGE, {"name": "0.png", "fields": {"at": 0}})
    # The newest of all fills the bound, so the older ones have no room beside it.
    await page.reload()
    await expect(page.locator(".entry-name")).to_have_text(["1.png", "2.png", "3.png"])
    newest = {"bytes": 256e6, "at": 8.64e15}
    await page.evaluate(AGE, {"name": "2.png", "fields": newest})
    await page.reload()
    await expect(page.locator("#file-name")).to_have_text("2.png")
    assert await page.evaluate(RECORDS) == [["2.png", 256e6]]


async def test_a_tab_of_its_own_has_pictures_of_its_own(page: Page) -> None:
    await choose(page, picture("mine.png"))
    await upscaled(page, "2")
    other = await page.context.new_page()
    await other.goto(page.url)
    await expect(other.locator("#choices label")).to_have_count(4)
    await expect(other.locator("#empty")).to_be_visible()
    await other.close()


async def test_a_picture_that_is_removed_is_forgotten(page: Page) -> None:
    await choose(page, picture("a.png"), picture("b.png"))
    await run_button(page).click()
    await expect(page.locator("#list-count")).to_have_text("2 of 2 pictures done")
    await page.get_by_role("button", name="Remove a.png").click()
    await page.reload()
    await expect(page.locator("#file-name")).to_have_text("b.png")
    await expect(page.locator("#list")).to_be_hidden()
