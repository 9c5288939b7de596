"""Pictures of several frames, transparent ones, and those that the browser cannot show."""

from __future__ import annotations

from PIL import Image
from playwright.async_api import Page, expect

from tests.service.harness import ScriptedWorker
from tests.service.page.driving import (
    HEIGHT,
    WIDTH,
    choose,
    frames,
    run_button,
    set_number,
    still,
    transparent,
    upscaled,
)


def sent(worker: ScriptedWorker) -> list[int | None]:
    """The frames of the jobs that came."""
    return [claim.job.frame for claim in worker.claims]


async def test_an_animation_is_mended_by_one_press(page: Page, worker: ScriptedWorker) -> None:
    await choose(page, frames("a.gif", "gif"))
    frame = page.get_by_role("spinbutton", name="Frame")
    await expect(frame).to_be_hidden()
    await run_button(page).click()
    alert = page.get_by_role("alert")
    await expect(alert).to_contain_text("The picture is an animation")
    await expect(frame).to_be_visible()
    await alert.get_by_role("button", name="Use the first frame").press("Enter")
    await expect(page.locator(".comparing")).to_be_visible()
    await expect(page.get_by_role("link", name="Download")).to_be_focused()
    await expect(frame).to_have_value("1")
    assert sent(worker) == [0]


async def test_another_frame_is_named_by_its_number(page: Page, worker: ScriptedWorker) -> None:
    await choose(page, frames("a.gif", "gif"))
    await run_button(page).click()
    await set_number(page, "Frame", "9")
    await run_button(page).click()
    alert = page.get_by_role("alert")
    await expect(alert).to_contain_text("This file has 3 pictures; choose one from 1 to 3.")
    await expect(alert.get_by_role("button")).to_have_count(0)
    await set_number(page, "Frame", "3")
    await run_button(page).click()
    await expect(page.locator("#headline")).to_contain_text("80 × 60")
    await expect(page.locator("#note")).to_contain_text("cannot show frame 3 of the original")
    await expect(page.locator("#divider")).to_be_hidden()
    await expect(run_button(page)).to_have_text("Upscale again")
    await set_number(page, "Frame", "2")
    await expect(run_button(page)).to_have_text("Upscale")
    assert sent(worker) == [2]
    await page.reload()
    await expect(page.get_by_role("spinbutton", name="Frame")).to_have_value("3")


async def test_a_batch_goes_on_with_first_frames(page: Page, worker: ScriptedWorker) -> None:
    photo = still("b.png", Image.new("RGB", (WIDTH, HEIGHT)), "png")
    await choose(page, frames("a.gif", "gif"), photo, frames("c.webp", "webp"))
    await run_button(page).click()
    await expect(page.locator("#list-count")).to_have_text("3 of 3 pictures done")
    rows = page.locator(".entry")
    await expect(rows.nth(0)).to_contain_text("Done: frame 1, 80 × 60, ")
    await expect(rows.nth(1)).to_contain_text("Done: 80 × 60, ")
    await expect(rows.nth(2)).to_contain_text("Done: frame 1, 80 × 60, ")
    assert sent(worker) == [0, None, 0]
    await expect(run_button(page)).to_have_text("Upscale 3 pictures again")


async def test_the_pages_of_a_tiff_are_chosen_before_anything_is_sent(
    page: Page, worker: ScriptedWorker
) -> None:
    await choose(page, frames("scan.tif", "tiff"))
    await expect(page.get_by_role("spinbutton", name="Frame")).to_be_hidden()
    await set_number(page, "Page", "2")
    await page.get_by_label("Format").select_option("png")
    await run_button(page).click()
    await expect(page.locator("#headline")).to_contain_text("80 × 60")
    assert sent(worker) == [1]


async def test_a_preview_that_the_browser_lacks_comes_with_the_result(page: Page) -> None:
    unseen, image = page.locator("#unseen"), page.locator("#after")
    await choose(page, still("scan.tif", Image.new("RGB", (WIDTH, HEIGHT)), "tiff"))
    await expect(unseen).to_have_text(
        "This browser cannot show TIFF; the preview comes with a result in another format, "
        "such as PNG."
    )
    await expect(image).to_be_hidden()
    await expect(page.locator("#warnings")).to_be_empty()
    await run_button(page).click()
    await expect(unseen).to_have_text(
        "This browser cannot show the result. Download it, or choose another format, such as PNG."
    )
    await expect(page.locator("#download")).to_have_attribute("download", "scan@2x.tif")
    await expect(image).to_be_hidden()
    await page.get_by_label("Format").select_option("png")
    await run_button(page).click()
    await expect(image).to_be_visible()
    await expect(unseen).to_be_empty()


async def test_a_format_that_is_only_read_is_previewed_by_its_result(page: Page) -> None:
    await choose(
        page, {"name": "a.heic", "mimeType": "", "buffer": b"\0\0\0\x18ftypheic" + bytes(12)}
    )
    words = "This browser cannot show HEIC; the preview comes with the result."
    await expect(page.locator("#unseen")).to_have_text(words)
    options = await page.get_by_label("Format").locator("option").all_inner_texts()
    assert "TIFF" in options
    assert "HEIC" not in options


async def test_a_background_is_offered_where_it_has_an_effect(
    page: Page, worker: ScriptedWorker
) -> None:
    colour = page.get_by_label("Background")
    form = page.get_by_label("Format")
    await choose(page, still("a.png", transparent(), "png"))
    await expect(colour).to_be_hidden()
    await form.select_option("jpeg")
    await expect(colour).to_have_value("#ffffff")
    await colour.fill("#00ff7f")
    await upscaled(page, "2")
    await form.select_option("webp")
    await expect(colour).to_be_hidden()
    await form.select_option("jpeg")
    opaque = still("b.png", Image.new("RGBA", (WIDTH, HEIGHT), "navy"), "png")
    await page.locator("#file").set_input_files(opaque)
    await expect(page.locator("#file-name")).to_have_text("b.png")
    await expect(colour).to_be_hidden()
    assert [claim.job.background for claim in worker.claims] == ["00ff7f"]
    await page.reload()
    await expect(colour).to_have_value("#00ff7f")
