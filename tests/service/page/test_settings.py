"""The controls, and what reaches the job."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from tests.service.harness import MODEL, UNSERVED, ScriptedWorker
from tests.service.page.driving import (
    HEIGHT,
    WIDTH,
    choose,
    kind,
    run_button,
    set_number,
    size_of,
    unfold,
    upscaled,
)


async def test_four_choices_stand_for_the_networks(page: Page, worker: ScriptedWorker) -> None:
    labels = page.locator("#choices .option-label")
    await expect(labels).to_have_text(["Automatic", "Photo", "Compressed photo", "Best"])
    await expect(kind(page, "automatic")).to_be_checked()
    await choose(page)
    for name in ("photo", "compressed", "best"):
        await kind(page, name).check()
        await upscaled(page, "2")
    sent = [(claim.job.model, claim.job.strength) for claim in worker.claims]
    assert sent == [(None, 0.0), (None, 0.65), (MODEL, 0.0)]


async def test_all_networks_are_listed_with_what_they_are_for(page: Page) -> None:
    await expect(page.locator("#network-list")).to_be_hidden()
    await unfold(page, "All networks")
    rows = page.get_by_role("radiogroup", name="Network").locator("label")
    await expect(rows).to_have_count(3)
    await expect(rows.locator(".option-label")).to_have_text(["Any", MODEL, UNSERVED])
    await expect(rows.nth(2)).to_contain_text("For tests")
    await rows.nth(1).click()
    await expect(kind(page, "best")).to_be_checked()
    await rows.nth(2).click()
    await expect(page.locator("#choices :checked")).to_have_count(0)
    await kind(page, "automatic").check()
    await expect(rows.nth(0).get_by_role("radio")).to_be_checked()


async def test_a_width_without_a_model_is_that_of_the_default(page: Page) -> None:
    await unfold(page, "All networks")
    chosen = page.locator("#network-list label", has=page.locator(":checked"))
    width = page.get_by_label("Network width")
    await expect(chosen).to_contain_text("Any")
    await width.select_option(label="Quarter width")
    await expect(chosen).to_contain_text(MODEL)
    await width.select_option(label="Automatic")
    await expect(chosen).to_contain_text("Any")


async def test_settings_reach_the_job_and_are_remembered(
    page: Page, worker: ScriptedWorker
) -> None:
    await choose(page)
    await unfold(page, "All networks")
    await page.get_by_label("Network width").select_option(label="Half width")
    await page.get_by_label("Clean up").select_option(label="Medium")
    await page.get_by_label("Format").select_option("webp")
    await set_number(page, "Quality", "71")
    await unfold(page, "Time limit")
    await page.get_by_label("If time runs out").select_option("reject")
    await set_number(page, "Time limit, seconds", "3.21")
    await upscaled(page)
    job = worker.claims[0].job
    wanted = (job.pinned_width, job.output_format.value, job.on_miss.value, job.budget_ms)
    assert wanted == (0.5, "webp", "reject", 3210)
    assert (job.strength, job.quality) == (0.65, 71)
    await page.reload()
    for name in ("All networks", "Time limit"):
        await unfold(page, name)
    await expect(page.get_by_label("Clean up")).to_have_value("0.65")
    await expect(page.get_by_label("Network width")).to_have_value("0.5")
    await expect(page.get_by_role("spinbutton", name="Time limit, seconds")).to_have_value("3.21")
    await expect(page.get_by_role("spinbutton", name="Scale")).to_have_value("2.37")
    await expect(page.get_by_role("spinbutton", name="Quality")).to_have_value("71")


async def test_a_link_opens_the_page_with_the_same_settings(
    page: Page, worker: ScriptedWorker
) -> None:
    link = page.locator("#settings-link")
    await expect(link).to_have_attribute("href", "#scale=2")
    await page.get_by_label("Format").select_option("webp")
    await set_number(page, "Quality", "71")
    await set_number(page, "Scale", "2.5")
    await unfold(page, "Time limit")
    await set_number(page, "Time limit, seconds", "3.21")
    await expect(link).to_have_attribute("href", "#scale=2.5&budgetMs=3210&format=webp&quality=71")
    await link.click()
    await expect(link).not_to_have_text("Link to these settings")
    address = page.url
    assert address.endswith("#scale=2.5&budgetMs=3210&format=webp&quality=71")
    await set_number(page, "Scale", "3")
    assert "#" not in page.url  # a reload keeps the change
    await page.evaluate("localStorage.clear()")
    await page.goto("about:blank")
    await page.goto(address)
    await expect(page.locator("#choices label")).to_have_count(4)
    await choose(page)
    await run_button(page).click()
    await expect(page.locator(".comparing")).to_be_visible()
    job = worker.claims[0].job
    assert (job.output_width, job.output_format.value) == (WIDTH * 5 // 2, "webp")
    assert (job.quality, job.budget_ms) == (71, 3210)


async def test_a_link_is_not_trusted(page: Page) -> None:
    scale = page.get_by_role("spinbutton", name="Scale")
    await page.evaluate(
        "location.hash = 'scale=1e9&format=exe&quality=x&model=%3Cb%3E&background=red&other=1'"
    )
    await expect(scale).to_have_value("8")
    await expect(page.get_by_label("Format")).to_have_value("")
    await expect(page.locator("#settings-link")).to_have_attribute("href", "#scale=8")
    await page.evaluate("location.hash = 'elsewhere'")
    await expect(scale).to_have_value("8")


async def test_the_size_is_given_as_scale_or_as_pixels_of_one_side(page: Page) -> None:
    fields = {name: page.get_by_role("spinbutton", name=name) for name in ("Scale", "Width")}
    height = page.get_by_role("spinbutton", name="Height")
    await choose(page)
    await expect(fields["Width"]).to_have_value(str(2 * WIDTH))
    await expect(height).to_have_value(str(2 * HEIGHT))
    await set_number(page, "Width", "101")
    await expect(fields["Scale"]).to_have_value("2.53")
    await expect(height).to_have_value("76")
    async with page.expect_response("**/upscale") as response:
        await run_button(page).click()
    assert size_of(await (await response.value).body()) == (101, 76)
    await set_number(page, "Height", "77")
    async with page.expect_response("**/upscale") as response:
        await run_button(page).click()
    assert size_of(await (await response.value).body()) == (103, 77)
    await expect(page.locator("#download")).to_have_attribute("download", "photo@77h.png")
    await set_number(page, "Width", "20")
    await expect(page.locator("#warnings")).to_contain_text("this service only enlarges")
    await set_number(page, "Scale", "3")
    await expect(fields["Width"]).to_have_value(str(3 * WIDTH))
    await expect(page.locator("#warnings")).to_be_empty()


async def test_a_quality_is_offered_where_the_format_has_one(page: Page) -> None:
    quality = page.get_by_role("spinbutton", name="Quality")
    await choose(page)
    await expect(quality).to_be_hidden()
    await page.get_by_label("Format").select_option("jpeg")
    await expect(quality).to_be_visible()
    await set_number(page, "Quality", "1000")
    await expect(quality).to_have_value("100")
    await page.get_by_label("Format").select_option("png")
    await expect(quality).to_be_hidden()


async def test_a_model_that_cleans_nothing_up_says_so_before(page: Page) -> None:
    warnings = page.locator("#warnings")
    await choose(page)
    await unfold(page, "All networks")
    await page.get_by_label("Clean up").select_option(label="Strong")
    await expect(warnings).to_be_empty()
    await page.locator(f'#network-list input[value="{UNSERVED}"]').check()
    await expect(warnings).to_have_text(f"The clean-up setting has no effect on {UNSERVED}.")
    await page.get_by_label("Clean up").select_option(label="Automatic")
    await expect(warnings).to_be_empty()


@pytest.mark.parametrize("stored", ['{"strength": "0.5", "budget": 5000}', "[", '{"by": 3}'])
async def test_what_was_remembered_of_another_version_is_forgotten(page: Page, stored: str) -> None:
    await page.evaluate("text => localStorage.setItem('anysr.settings', text)", stored)
    await page.reload()
    await expect(kind(page, "automatic")).to_be_checked()
    await unfold(page, "Time limit")
    await expect(page.get_by_role("checkbox", name="Automatic")).to_be_checked()
    await expect(page.get_by_role("spinbutton", name="Scale")).to_have_value("2")


async def test_sliders_and_numbers_are_linked(page: Page) -> None:
    await unfold(page, "Time limit")
    number = page.get_by_role("spinbutton", name="Time limit, seconds")
    await page.get_by_role("checkbox", name="Automatic").uncheck()
    budget = page.get_by_role("slider", name="Time limit")
    await budget.press("Home")
    await expect(number).to_have_value("0.1")
    await budget.press("End")
    await expect(number).to_have_value("120")
    await set_number(page, "Time limit, seconds", "2")
    await expect(budget).to_have_attribute("aria-valuetext", "2\u00a0s")
    await page.get_by_role("slider", name="Scale").press("Home")
    await page.get_by_role("slider", name="Scale").press("ArrowRight")
    await expect(page.get_by_role("spinbutton", name="Scale")).to_have_value("1.01")
    await set_number(page, "Scale", "99")
    await expect(page.get_by_role("spinbutton", name="Scale")).to_have_value("8")


async def test_automatic_sends_no_budget_and_a_budget_is_sent_as_chosen(
    page: Page, worker: ScriptedWorker
) -> None:
    number = page.get_by_role("spinbutton", name="Time limit, seconds")
    automatic = page.get_by_role("checkbox", name="Automatic")
    await choose(page)
    await unfold(page, "Time limit")
    await expect(number).to_have_value("")
    await upscaled(page)
    await set_number(page, "Time limit, seconds", "3")
    await expect(automatic).not_to_be_checked()
    await upscaled(page)
    await automatic.check()
    await expect(number).to_have_value("")
    await automatic.uncheck()
    await expect(number).to_have_value("1.5")  # what the estimate says
    assert [claim.job.budget_ms for claim in worker.claims] == [1_530, 3_000]
