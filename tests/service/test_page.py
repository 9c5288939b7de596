"""The web page in a real browser, on the real gateway and the real queue."""

from __future__ import annotations

import asyncio
import contextlib
import io
import math
import re
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from PIL import Image
from playwright.async_api import Error as PlaywrightError
from playwright.async_api import (
    FilePayload,
    Page,
    Route,
    expect,
)

from jobs.job import Reason
from jobs.settings import QueueSettings
from models.geometry import output_size
from service.problems import STATUS
from tests.service.browser import CHROMIUM, START_S
from tests.service.harness import (
    MODEL,
    UNSERVED,
    RunningGateway,
    ScriptedWorker,
    Start,
    cost_by_pixels,
    drawn,
    encoded,
)

WIDTH, HEIGHT = 40, 30

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")


@pytest.fixture
async def page(blank: Page, served: RunningGateway) -> Page:
    """The page, open and served by a gateway that is ready."""
    return await opened(blank, served)


async def opened(page: Page, served: RunningGateway) -> Page:
    await page.goto(f"http://127.0.0.1:{served.port}/")
    await expect(page.locator("#model option")).to_have_count(3)
    return page


async def test_a_model_for_other_pictures_says_what_it_is_for(page: Page) -> None:
    options = page.locator("#model option")
    await expect(options).to_have_text(["Best in time", MODEL, f"{UNSERVED}: For tests"])


async def test_a_width_without_a_model_is_that_of_the_default(page: Page) -> None:
    chosen = page.locator("#model option:checked")
    width = page.get_by_label("Network width")
    await expect(chosen).to_have_text("Best in time")
    await width.select_option(label="Quarter width")
    await expect(chosen).to_have_text("Default model")
    await width.select_option(label="Automatic")
    await expect(chosen).to_have_text("Best in time")


def picture(name: str = "photo.png") -> FilePayload:
    return {"name": name, "mimeType": "image/png", "buffer": drawn(WIDTH, HEIGHT)}


async def choose(page: Page, file: FilePayload) -> None:
    async with page.expect_file_chooser() as chooser:
        await page.get_by_role("button", name="Choose a picture").click()
    await (await chooser.value).set_files(file)


async def set_number(page: Page, label: str, value: str) -> None:
    field = page.get_by_role("spinbutton", name=label)
    await field.fill(value)
    await field.press("Tab")


async def upscaled(page: Page, scale: str = "2.37") -> bytes:
    """Run with the picture chosen until the comparison is drawn; the body of the answer."""
    await set_number(page, "Scale", scale)
    async with page.expect_response("**/upscale") as response:
        await page.get_by_role("button", name="Upscale").click()
    body = await (await response.value).body()
    await expect(page.locator(".comparing")).to_be_visible()
    return body


def size_of(content: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(content)) as image:
        return image.size


async def test_chosen_picture_is_upscaled_to_the_pixel(page: Page) -> None:
    await choose(page, picture())
    expected = f"{round(2.37 * WIDTH)} × {round(2.37 * HEIGHT)}"
    await set_number(page, "Scale", "2.37")
    await expect(page.locator("#size-preview")).to_contain_text(expected)
    assert size_of(await upscaled(page)) == (round(2.37 * WIDTH), round(2.37 * HEIGHT))
    natural = await page.locator("#after").evaluate("i => [i.naturalWidth, i.naturalHeight]")
    drawn_at = await page.locator("#bicubic").evaluate("c => [c.width, c.height]")
    assert natural == drawn_at == [round(2.37 * WIDTH), round(2.37 * HEIGHT)]
    await check_summary(page)


async def check_summary(page: Page) -> None:
    summary = page.locator("#run-summary")
    await expect(summary).to_contain_text(
        f"{MODEL} at full width: there was time for the best that your settings allow."
    )
    for words in ("Budget met", "of 10 s", "102 ms predicted", "95 × 71 px", "PNG", "32.1 dB"):
        await expect(summary).to_contain_text(words)
    for stage in ("waiting", "opening", "upscaling", "saving"):
        await expect(summary.locator(".legend")).to_contain_text(stage)


async def test_download_is_the_answer(page: Page, tmp_path: Path) -> None:
    await choose(page, picture("photo.final.png"))
    body = await upscaled(page)
    async with page.expect_download() as download:
        await page.get_by_role("link", name="Download").click()
    saved = await download.value
    assert saved.suggested_filename == "photo.final@2.37x.png"
    await saved.save_as(tmp_path / "saved.png")
    assert (tmp_path / "saved.png").read_bytes() == body


TRANSFER = """([kind, name, bytes]) => {
  const transfer = new DataTransfer();
  transfer.items.add(new File([new Uint8Array(bytes)], name, {type: "image/png"}));
  window.dispatchEvent(kind === "paste"
    ? new ClipboardEvent("paste", {clipboardData: transfer})
    : new DragEvent("drop", {dataTransfer: transfer, cancelable: true}));
}"""


async def test_pictures_dropped_and_pasted(page: Page) -> None:
    for kind, size in (("drop", (60, 45)), ("paste", (80, 60))):
        await page.evaluate(TRANSFER, [kind, f"{kind}.png", list(drawn(WIDTH, HEIGHT))])
        await expect(page.locator("#file-name")).to_have_text(f"{kind}.png")
        assert size_of(await upscaled(page, str(size[0] / WIDTH))) == size


async def test_sample_picture(page: Page) -> None:
    await page.get_by_role("button", name="Use the test picture").click()
    await expect(page.locator("#file-size")).to_contain_text("288 × 192")
    assert size_of(await upscaled(page, "1.01")) == (291, 194)


async def test_divider_follows_mouse_and_keys(page: Page) -> None:
    await choose(page, picture())
    await upscaled(page)
    divider = page.get_by_role("slider", name="Divider")
    await expect(divider).to_have_attribute("aria-valuenow", "50")
    frame = await page.locator("#viewport").bounding_box()
    assert frame is not None
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


async def test_zoomed_picture_is_panned(page: Page) -> None:
    await page.get_by_role("button", name="Use the test picture").click()
    await upscaled(page, "4")
    await page.get_by_role("radio", name="200 %").check()
    layer = page.locator("#after")
    assert await layer.evaluate("e => e.getBoundingClientRect().width") == 288 * 4 * 2
    before = await layer.evaluate("e => e.getBoundingClientRect().left")
    await page.locator("#viewport").press("ArrowRight")
    left, canvas = await page.evaluate(
        "['after', 'bicubic'].map(i => document.getElementById(i).getBoundingClientRect().left)"
    )
    assert left == canvas == before - 40
    await page.locator("#viewport").press("0")
    await expect(page.get_by_role("radio", name="Fit")).to_be_checked()


async def test_settings_reach_the_job_and_are_remembered(
    page: Page, worker: ScriptedWorker
) -> None:
    await choose(page, picture())
    await page.get_by_label("Network width").select_option(label="Half width")
    await page.get_by_label("Clean up").select_option(label="Medium")
    await page.get_by_label("Format").select_option("webp")
    await page.get_by_label("If late").select_option("reject")
    await set_number(page, "Time budget", "3210")
    await upscaled(page)
    await expect(page.locator("#run-summary")).to_contain_text("half width, because you chose it.")
    job = worker.claims[0].job
    wanted = (job.pinned_width, job.output_format.value, job.on_miss.value, job.budget_ms)
    assert wanted == (0.5, "webp", "reject", 3210)
    assert job.strength == 0.65
    await page.reload()
    await expect(page.get_by_label("Clean up")).to_have_value("0.65")
    await expect(page.get_by_label("Network width")).to_have_value("0.5")
    await expect(page.get_by_role("spinbutton", name="Time budget")).to_have_value("3210")
    await expect(page.get_by_role("spinbutton", name="Scale")).to_have_value("2.37")


async def test_damage_is_cleaned_up_as_the_file_says(page: Page) -> None:
    sentence = page.locator("#cleaned")
    await choose(page, picture())
    await upscaled(page)
    await expect(sentence).to_have_text(
        "Nothing to clean up: the file is lossless or hardly compressed."
    )
    image = Image.linear_gradient("L").convert("RGB")
    await choose_another(page, encoded(image, "jpeg", quality=30))
    await upscaled(page)
    words = "Cleaned up compression damage (strength {})."
    await expect(sentence).to_have_text(words.format("1, read from the file"))
    await page.get_by_label("Clean up").select_option(label="Light")
    await upscaled(page)
    await expect(sentence).to_have_text(words.format("0.35, as you chose"))
    await page.get_by_label("Clean up").select_option(label="Off")
    await upscaled(page)
    await expect(sentence).to_have_text("Nothing was cleaned up, as you chose.")


async def test_a_model_that_cleans_nothing_up_says_so_before(page: Page) -> None:
    warnings = page.locator("#warnings")
    await choose(page, picture())
    await page.get_by_label("Clean up").select_option(label="Strong")
    await expect(warnings).to_be_empty()
    await page.get_by_label("Model").select_option(UNSERVED)
    await expect(warnings).to_have_text(f"The clean-up setting has no effect on {UNSERVED}.")
    await page.get_by_label("Clean up").select_option(label="Automatic")
    await expect(warnings).to_be_empty()


async def test_why_nothing_was_cleaned_up(page: Page) -> None:
    cases = {
        (1, False): "The clean-up setting has no effect on m.",
        (1, None): "Nothing was cleaned up.",
        (0, None): "Nothing was cleaned up: plain resampling cannot do that.",
    }
    found = await page.evaluate(
        """async (cases) => {
          const {strengthSentence} = await import("/static/run-summary.js");
          return cases.map(([width, cleans]) =>
            strengthSentence({model: "m", width, strength: 0}, "", cleans ?? undefined));
        }""",
        [list(case) for case in cases],
    )
    assert found == list(cases.values())


async def test_each_reason_has_its_sentence(page: Page) -> None:
    sentences = await page.evaluate(
        """async () => {
          const {REASONS, reasonSentence} = await import("/static/run-summary.js");
          const run = {model: "m", width: 0.5};
          const entry = (reason) => [reason, reasonSentence({...run, reason})];
          return Object.fromEntries(Object.keys(REASONS).map(entry));
        }"""
    )
    assert sentences.keys() == {reason.value for reason in Reason}
    assert len(set(sentences.values())) == len(Reason)
    resampled = sentences.pop(Reason.FLOOR)
    assert resampled.startswith("Plain resampling")
    assert all(sentence.startswith("m at half width") for sentence in sentences.values())


async def test_an_unknown_reason_is_passed_over(page: Page) -> None:
    cases = {0.5: "m at half width.", 0.6875: "m at 68.8 % width.", 0: "m."}
    found = await page.evaluate(
        """async (widths) => {
          const {reasonSentence} = await import("/static/run-summary.js");
          return widths.map((width) => reasonSentence({model: "m", width, reason: "new"}));
        }""",
        list(cases),
    )
    assert found == list(cases.values())


NEVER_HERE = {
    *("unauthorized", "admin_disabled", "job_not_found", "job_not_finished", "result_expired"),
}
"""Codes of routes that the page does not call."""
UNSENT = {"quality_infeasible"}
"""Codes of parameters that the page does not send."""
IN_THE_BROWSER = {"unreadable_file", "unreachable"}
"""Codes of what goes wrong before the service hears of it."""


async def test_each_problem_is_explained(page: Page) -> None:
    codes = await page.evaluate(
        """async () => Object.keys((await import("/static/problems.js")).WORDS)"""
    )
    assert set(codes) == STATUS.keys() - NEVER_HERE - UNSENT | IN_THE_BROWSER


async def test_what_was_remembered_of_another_version_is_forgotten(page: Page) -> None:
    stored = '{"strength": "0.5", "budget": 5000}'
    await page.evaluate("text => localStorage.setItem('anysr.settings', text)", stored)
    await page.reload()
    await expect(page.get_by_label("Clean up")).to_have_value("")
    await expect(page.get_by_role("checkbox", name="Automatic")).to_be_checked()


async def test_sliders_and_numbers_are_linked(page: Page) -> None:
    budget = page.get_by_role("slider", name="Time budget")
    number = page.get_by_role("spinbutton", name="Time budget")
    await budget.press("Home")
    await expect(number).to_have_value("50")
    await budget.press("End")
    await expect(number).to_have_value("60000")
    await set_number(page, "Time budget", "2000")
    await expect(budget).to_have_attribute("aria-valuetext", "2 s")
    await page.get_by_role("slider", name="Scale").press("Home")
    await page.get_by_role("slider", name="Scale").press("ArrowRight")
    await expect(page.get_by_role("spinbutton", name="Scale")).to_have_value("1.01")
    await set_number(page, "Scale", "99")
    await expect(page.get_by_role("spinbutton", name="Scale")).to_have_value("8")


async def test_the_estimate_is_shown_before_the_picture_is_sent(
    page: Page, worker: ScriptedWorker
) -> None:
    estimate = page.locator("#time-estimate")
    await expect(estimate).to_be_empty()
    await choose(page, picture())
    await expect(estimate).to_have_text("About 58 ms (fastest) to 120 ms (best).")
    await expect(estimate).to_have_attribute("aria-live", "polite")
    automatic = page.get_by_role("checkbox", name="Automatic 10 s for this picture")
    await expect(automatic).to_be_checked()
    slider = page.get_by_role("slider", name="Time budget")
    await expect(slider).to_have_attribute("aria-valuetext", "Automatic, 10 s")
    for name, budget_ms in (("fastest", 58), ("best", 124)):
        mark = page.locator(f"#mark-{name}")
        await expect(mark).to_be_visible()
        part = math.log(budget_ms / 50) / math.log(60_000 / 50)
        at = await mark.evaluate("e => Number(e.style.getPropertyValue('--at'))")
        assert at == pytest.approx(part, abs=0.01)
    await page.get_by_label("If late").select_option("reject")
    await page.get_by_label("Network width").select_option(label="Half width")
    await expect(estimate).to_have_text("About 80 ms.")
    assert not worker.claims


async def test_automatic_sends_no_budget_and_a_budget_is_sent_as_chosen(
    page: Page, worker: ScriptedWorker
) -> None:
    number = page.get_by_role("spinbutton", name="Time budget")
    automatic = page.get_by_role("checkbox", name="Automatic")
    await choose(page, picture())
    await expect(number).to_have_value("")
    await upscaled(page)
    await set_number(page, "Time budget", "3000")
    await expect(automatic).not_to_be_checked()
    await upscaled(page)
    await expect(page.locator("#run-summary")).to_contain_text("of 3 s")
    await page.reload()
    await expect(automatic).not_to_be_checked()
    await automatic.check()
    await expect(number).to_have_value("")
    await page.reload()
    await expect(automatic).to_be_checked()
    await automatic.uncheck()
    await expect(number).to_have_value("10000")
    assert [claim.job.budget_ms for claim in worker.claims] == [10_000, 3_000]


async def test_a_large_picture_gets_the_time_that_it_needs(
    blank: Page, start: Start, worker: ScriptedWorker
) -> None:
    """As a photograph of a phone does; its marks lie beyond the slider."""
    worker.costs = cost_by_pixels(10_000_000.0)
    await worker.heartbeat()
    async with start() as served:
        page = await opened(blank, served)
        await choose(page, picture())
        await set_number(page, "Scale", "2")
        words = "About 22 s (fastest) to 54 s (best)."
        await expect(page.locator("#time-estimate")).to_have_text(words)
        await expect(page.locator("#mark-best")).to_be_visible()
        await upscaled(page, "2")
        await expect(page.locator("#run-summary")).to_contain_text("of 73.5 s")
        assert worker.claims[0].job.budget_ms == pytest.approx(73_450, abs=10)
        await set_number(page, "Scale", "3")
        await expect(page.locator("#mark-best")).to_be_hidden()
        await blank.goto("about:blank")


ESTIMATE = {"wait_ms": 0, "smallest_budget_ms": 9, "output_width": 1, "output_height": 1}


async def test_only_the_newest_estimate_counts_and_failures_are_silent(page: Page) -> None:
    asked = []
    asks, late = asyncio.Event(), asyncio.Event()

    async def answer(route: Route) -> None:
        scale = float(parse_qs(urlsplit(route.request.url).query)["scale"][0])
        asked.append(scale)
        if scale == 5:
            await route.fulfill(status=500, body="no")
            return
        if scale == 3:
            asks.set()
            await late.wait()
        rung = {"model": "m", "width": 1, "budget_ms": 1000 * scale}
        body = ESTIMATE | {"rungs": [rung], "default_budget_ms": 10_000}
        with contextlib.suppress(PlaywrightError):  # nobody waits for the late one
            await route.fulfill(json=body)

    await page.route("**/estimate?*", answer)
    estimate = page.locator("#time-estimate")
    await choose(page, picture())
    await expect(estimate).to_have_text("About 2 s.")
    for scale in ("6", "7", "3"):
        await page.evaluate(SLIDE, scale)
    async with asyncio.timeout(START_S):
        await asks.wait()
    await page.evaluate(SLIDE, "4")
    await expect(estimate).to_have_text("About 4 s.")
    late.set()
    await page.evaluate("new Promise(resolve => setTimeout(resolve, 100))")
    await expect(estimate).to_have_text("About 4 s.")
    await page.evaluate(SLIDE, "5")
    await expect(estimate).to_be_empty()
    await expect(page.get_by_role("alert")).to_be_hidden()
    await page.evaluate(SLIDE, "4")
    await expect(estimate).to_have_text("About 4 s.")
    assert asked == [2, 3, 4, 5, 4]


async def test_the_best_is_the_best_that_a_budget_allows(page: Page) -> None:
    cases = {
        (15, 1500, 9000, 700_000): "About 1.5 s (fastest) to 9 s (best).",
        (15, 1500, 700_000): "About 1.5 s.",
        (15, 700_000): "About 700 s.",
        (15,): "About 15 ms.",
    }
    estimates = [
        {
            "rungs": [{"width": float(n > 0), "budget_ms": ms} for n, ms in enumerate(budgets)],
            "wait_ms": 0,
        }
        for budgets in cases
    ]
    found = await page.evaluate(
        """async (estimates) => {
          const {estimateSentence} = await import("/static/estimate.js");
          return estimates.map(estimateSentence);
        }""",
        estimates,
    )
    assert found == list(cases.values())


async def test_an_estimate_leaves_what_is_half_typed(page: Page) -> None:
    typed = asyncio.Event()

    async def answer(route: Route) -> None:
        await typed.wait()
        await route.continue_()

    await page.route("**/estimate?*", answer)
    await choose(page, picture())
    number = page.get_by_role("spinbutton", name="Time budget")
    await number.fill("3210")
    typed.set()
    await expect(page.locator("#time-estimate")).not_to_be_empty()
    await number.press("Tab")
    await expect(number).to_have_value("3210")
    await expect(page.get_by_role("checkbox", name="Automatic")).not_to_be_checked()


SLIDE = """value => {
  const slider = document.getElementById("scale");
  slider.value = value;
  slider.dispatchEvent(new Event("input", {bubbles: true}));
}"""


async def test_text_file_is_explained(page: Page) -> None:
    await choose(page, {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"no picture"})
    await expect(page.locator("#warnings")).to_contain_text("cannot show the file")
    await page.get_by_role("button", name="Upscale").click()
    alert = page.get_by_role("alert")
    await expect(alert).to_contain_text("The service cannot read this file")
    await expect(alert).to_contain_text("Save it in another format, such as PNG or JPEG")
    await expect(page.get_by_role("button", name="Upscale")).to_be_enabled()


async def test_limits_of_the_service_are_shown_before_anything_is_sent(
    blank: Page, start: Start, worker: ScriptedWorker
) -> None:
    limits = {"max_body_bytes": 4000, "max_source_pixels": 50_000, "max_output_pixels": 400_000}
    async with start(**limits) as served:
        page = await opened(blank, served)
        warnings = page.locator("#warnings")
        await choose(page, picture())
        await expect(warnings).to_be_empty()
        await choose_another(page, noise(224, 224))
        await expect(warnings).to_contain_text("this service takes at most 4 kB.")
        await expect(warnings).to_contain_text(
            "50176 pixels; this service takes at most 50000 pixels."
        )
        await choose_another(page, drawn(2500, 2))
        await set_number(page, "Scale", "8")
        await expect(warnings.locator("li")).to_have_text(re.compile("was trained up to 4×;"))
        await page.get_by_label("Format").select_option("webp")
        words = "WebP holds at most 16382 pixels a side. Choose a smaller scale, or the format "
        await expect(warnings).to_contain_text(f"{words}PNG or JPEG or AVIF or JPEG XL.")
        await choose_another(page, drawn(100, 100))
        await expect(warnings).to_contain_text(
            "0.6 megapixels; this service makes at most 0.4 megapixels. Choose a smaller scale."
        )
        assert worker.claims == []
        await blank.goto("about:blank")


async def choose_another(page: Page, content: bytes) -> None:
    name = f"{len(content)}.png"
    await page.locator("#file").set_input_files(picture(name) | {"buffer": content})
    await expect(page.locator("#file-name")).to_have_text(name)


def noise(width: int, height: int) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    return encoded(Image.fromarray(pixels))


async def test_budget_too_small_is_mended_by_one_press(page: Page) -> None:
    await choose(page, picture())
    await page.get_by_label("Network width").select_option(label="Full width")
    await set_number(page, "Time budget", "50")
    await page.get_by_role("button", name="Upscale").click()
    alert = page.get_by_role("alert")
    await expect(alert).to_contain_text("The time budget is too small")
    await alert.get_by_role("button", name="Try with").click()
    await expect(page.locator(".comparing")).to_be_visible()
    await expect(alert).to_be_hidden()
    await expect(page.get_by_role("button", name="Upscale")).to_be_focused()
    assert float(await page.get_by_role("spinbutton", name="Time budget").input_value()) > 100


async def test_cancel_cancels(page: Page, worker: ScriptedWorker) -> None:
    worker.go.clear()
    await choose(page, picture())
    await set_number(page, "Time budget", "5000")
    await page.get_by_role("button", name="Upscale").click()
    async with asyncio.timeout(START_S):
        await worker.claimed.wait()
    await expect(page.locator("#progress-text")).to_contain_text("of 5 s")
    await page.get_by_role("button", name="Cancel").click()
    async with asyncio.timeout(START_S):
        await worker.cancelled.wait()
    await expect(page.get_by_role("button", name="Upscale")).to_be_focused()
    await expect(page.get_by_role("alert")).to_be_hidden()
    worker.go.set()
    assert size_of(await upscaled(page, "2")) == (2 * WIDTH, 2 * HEIGHT)


async def test_service_that_warms_up(blank: Page, start: Start) -> None:
    async with start() as served:
        await blank.clock.install(time=0)
        page = await opened(blank, served)
        await expect(page.locator("#health")).to_have_text("Warming up")
        await choose(page, picture())
        await page.clock.pause_at(60)
        await page.get_by_role("button", name="Upscale").click()
        await expect(page.get_by_role("alert")).to_contain_text("still starting")
        await expect(page.get_by_role("button", name="Try again in 2 s")).to_be_disabled()
        await page.clock.run_for(2500)
        await expect(page.get_by_role("button", name="Try again", exact=True)).to_be_enabled()
        await blank.goto("about:blank")


class TestFullQueue:
    """With room for one job."""

    @pytest.fixture
    def queue_settings(self) -> QueueSettings:
        return QueueSettings(namespace=f"test-{uuid.uuid4().hex}", queue_limit=1)

    async def test_waits_out_an_overload(
        self, page: Page, served: RunningGateway, worker: ScriptedWorker
    ) -> None:
        worker.go.clear()
        await served.submit(scale=2)
        async with asyncio.timeout(START_S):
            await worker.claimed.wait()
        await served.submit(scale=2)
        await choose(page, picture())
        await page.get_by_role("button", name="Upscale").click()
        await expect(page.get_by_role("alert")).to_contain_text("The service is busy")
        worker.go.set()
        await page.get_by_role("button", name="Try again", exact=True).click()
        await expect(page.locator(".comparing")).to_be_visible()


BICUBIC = """async ([width, height, data, outWidth, outHeight]) => {
  const {bicubic} = await import("/static/bicubic.js");
  const source = {width, height, data: new Uint8ClampedArray(data)};
  return Array.from(bicubic(source, outWidth, outHeight).data);
}"""


async def enlarged(page: Page, rgba: Any, width: int, height: int) -> Any:
    data = [rgba.shape[1], rgba.shape[0], rgba.ravel().tolist(), width, height]
    values = await page.evaluate(BICUBIC, data)
    return np.array(values, np.int16).reshape(height, width, 4)


async def test_bicubic_is_that_of_pillow(page: Page) -> None:
    rng = np.random.default_rng(0)
    for height, width, scale in ((9, 13, 2.37), (1, 5, 3.0), (7, 3, 8.0), (6, 6, 1.0)):
        rgba = rng.integers(0, 256, (height, width, 4), np.uint8)
        rgba[..., 3] = 255
        size = (output_size(width, scale), output_size(height, scale))
        expected = Image.fromarray(rgba).resize(size, Image.Resampling.BICUBIC)
        found = await enlarged(page, rgba, *size)
        assert np.abs(found - np.asarray(expected, np.int16)).max() <= 1


async def test_bicubic_hides_what_is_transparent(page: Page) -> None:
    rgba = np.zeros((4, 8, 4), np.uint8)
    rgba[:, :4] = (255, 0, 0, 0)
    rgba[:, 4:] = (0, 200, 0, 255)
    found = await enlarged(page, rgba, 19, 9)
    assert found[..., 0].max() == 0
    assert found[:, 0, 3].max() == 0
    assert abs(found[:, -1] - (0, 200, 0, 255)).max() <= 1


async def test_the_previewed_size_is_the_service_s(page: Page) -> None:
    cases = [(size, step / 100) for size in (1, 3, 50, 333, 4001) for step in range(100, 801, 7)]
    found = await page.evaluate(
        """async (cases) => {
          const {outputSize} = await import("/static/units.js");
          return cases.map(([size, scale]) => outputSize(size, scale));
        }""",
        cases,
    )
    assert found == [output_size(size, scale) for size, scale in cases]


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


async def test_narrow_page_does_not_scroll_sideways(page: Page) -> None:
    await page.set_viewport_size({"width": 360, "height": 740})
    await choose(page, picture("a-very-long-name-of-a-photograph-from-some-camera-0001.png"))
    await upscaled(page)
    assert await page.evaluate("document.documentElement.scrollWidth") == 360
