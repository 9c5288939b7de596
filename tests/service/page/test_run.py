"""From a picture to its result, and what goes wrong on the way."""

from __future__ import annotations

import asyncio
import io
import re
import uuid
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from playwright.async_api import Page, Route, expect

from jobs.formats import labels
from jobs.job import Job, Reason, RunFacts
from jobs.settings import QueueSettings
from tests.service import harness
from tests.service.browser import START_S
from tests.service.harness import MODEL, RunningGateway, ScriptedWorker, Start, drawn, encoded
from tests.service.page.driving import (
    HEIGHT,
    WIDTH,
    choose,
    choose_another,
    kind,
    opened,
    picture,
    run_button,
    set_number,
    size_of,
    unfold,
    upscaled,
)

WANTED = (round(2.37 * WIDTH), round(2.37 * HEIGHT))


async def test_chosen_picture_is_upscaled_to_the_pixel(page: Page) -> None:
    await choose(page)
    await set_number(page, "Scale", "2.37")
    becomes = f"becomes {WANTED[0]} × {WANTED[1]} pixels."
    await expect(page.locator("#size-preview")).to_contain_text(becomes)
    assert size_of(await upscaled(page)) == WANTED
    natural = await page.locator("#after").evaluate("i => [i.naturalWidth, i.naturalHeight]")
    drawn_at = await page.locator("#bicubic").evaluate("c => [c.width, c.height]")
    assert natural == drawn_at == list(WANTED)


async def test_the_headline_is_plain_and_the_facts_are_folded(page: Page) -> None:
    await choose(page)
    await upscaled(page)
    result = page.get_by_role("region", name="Result")
    plain = re.compile(r"^Sharpened to 95\s×\s71 in [\d.]+\ss$")
    await expect(result.get_by_role("heading")).to_have_text(plain)
    await expect(page.locator("#announcement")).to_contain_text("Sharpened to 95 × 71 in ")
    facts = page.locator("#run-summary")
    await expect(facts).to_be_hidden()
    await unfold(page, "Technical facts")
    await expect(facts).to_contain_text(
        f"{MODEL} at full width: there was time for the best that your settings allow."
    )
    for words in ("In time", "of 1.53 s", "0.102 s predicted", "95 × 71 px", "PNG", "32.1 dB"):
        await expect(facts).to_contain_text(words)
    for stage in ("waiting", "opening", "upscaling", "saving"):
        await expect(facts.locator(".legend")).to_contain_text(stage)


async def test_download_is_the_answer(page: Page, tmp_path: Path) -> None:
    await choose(page, picture("photo.final.png"))
    body = await upscaled(page)
    async with page.expect_download() as download:
        await page.get_by_role("link", name="Download").click()
    saved = await download.value
    assert saved.suggested_filename == "photo.final@2.37x.png"
    await saved.save_as(tmp_path / "saved.png")
    assert (tmp_path / "saved.png").read_bytes() == body


CLIPBOARD = """async () => {
  const [item] = await navigator.clipboard.read();
  return [...new Uint8Array(await (await item.getType("image/png")).arrayBuffer())];
}"""


async def test_a_result_of_any_format_is_copied_as_png(page: Page) -> None:
    await choose(page)
    await page.get_by_label("Format").select_option("jpeg")
    await upscaled(page, "2")
    await page.get_by_role("button", name="Copy").click()
    await expect(page.get_by_role("button", name="Copied")).to_be_visible()
    await page.bring_to_front()
    copied = bytes(await page.evaluate(CLIPBOARD))
    with Image.open(io.BytesIO(copied)) as image:
        assert (image.format, image.size) == ("PNG", (2 * WIDTH, 2 * HEIGHT))


TRANSFER = """([kind, names, bytes]) => {
  const transfer = new DataTransfer();
  for (const name of names) {
    transfer.items.add(new File([new Uint8Array(bytes)], name, {type: "image/png"}));
  }
  window.dispatchEvent(kind === "paste"
    ? new ClipboardEvent("paste", {clipboardData: transfer})
    : new DragEvent("drop", {dataTransfer: transfer, cancelable: true}));
}"""


async def test_pictures_dropped_and_pasted(page: Page) -> None:
    """One replaces one; several are a list, to which the next one is added."""
    for way, size in (("drop", (60, 45)), ("paste", (80, 60))):
        await page.evaluate(TRANSFER, [way, [f"{way}.png"], list(drawn(WIDTH, HEIGHT))])
        await expect(page.locator("#file-name")).to_have_text(f"{way}.png")
        await expect(page.locator("#list")).to_be_hidden()
        assert size_of(await upscaled(page, str(size[0] / WIDTH))) == size
    await page.evaluate(TRANSFER, ["drop", ["a.png", "b.png"], list(drawn(WIDTH, HEIGHT))])
    await expect(page.locator(".entry-name")).to_have_text(["a.png", "b.png"])
    await page.evaluate(TRANSFER, ["paste", ["c.png"], list(drawn(WIDTH, HEIGHT))])
    await expect(page.locator(".entry-name")).to_have_text(["a.png", "b.png", "c.png"])


async def test_sample_picture(page: Page) -> None:
    await page.get_by_role("button", name="Use the test picture").click()
    await expect(page.locator("#file-size")).to_contain_text("288 × 192")
    assert size_of(await upscaled(page, "1.01")) == (291, 194)


async def test_plain_resampling_is_not_called_sharpening(
    page: Page, worker: ScriptedWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = harness.run_facts

    def resampled_facts(job: Job) -> RunFacts:
        return replace(facts(job), model="lanczos", width=0.0, reason=Reason.FLOOR)

    monkeypatch.setattr(harness, "run_facts", resampled_facts)
    await choose(page)
    await upscaled(page, "2")
    await expect(page.locator("#headline")).to_contain_text("Enlarged to 80 × 60 in ")
    await expect(page.locator("#subline")).to_contain_text("There was no time to sharpen it")
    assert worker.claims


async def test_damage_is_cleaned_up_as_the_file_says(page: Page) -> None:
    sentence = page.locator("#cleaned")
    await choose(page)
    await upscaled(page)
    await unfold(page, "Technical facts")
    await expect(sentence).to_have_text(
        "Nothing to clean up: the file is lossless or hardly compressed."
    )
    image = Image.linear_gradient("L").convert("RGB")
    await choose_another(page, encoded(image, "jpeg", quality=30))
    await upscaled(page)
    words = "Cleaned up compression damage (strength {})."
    await expect(sentence).to_have_text(words.format("1, read from the file"))
    await kind(page, "compressed").check()
    await upscaled(page)
    await expect(sentence).to_have_text(words.format("0.65, as you chose"))
    await kind(page, "photo").check()
    await upscaled(page)
    await expect(sentence).to_have_text("Nothing was cleaned up, as you chose.")


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("notes.txt", b"no picture", "This is a text file"),
        ("poster.psd", b"8BPS\0\1" + bytes(20), "This is a Photoshop file"),
    ],
)
async def test_a_file_of_another_kind_is_refused_before_it_is_sent(
    page: Page, name: str, content: bytes, what: str
) -> None:
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method))
    await choose(page, {"name": name, "mimeType": "", "buffer": content})
    alert = page.get_by_role("alert")
    await expect(alert.get_by_role("heading")).to_have_text(f"{name} cannot be used")
    reads = f"the service reads {labels(last='and')}."
    await expect(alert.get_by_role("paragraph")).to_have_text(f"{what}; {reads}")
    await expect(run_button(page)).to_be_disabled()
    assert "POST" not in sent


async def test_a_picture_that_only_its_worker_finds_damaged_is_explained(page: Page) -> None:
    await choose(page, picture(content=drawn(WIDTH, HEIGHT)[:-40]))
    await run_button(page).click()
    alert = page.get_by_role("alert")
    await expect(alert).to_contain_text("The picture is damaged")
    await expect(run_button(page)).to_be_enabled()
    await expect(run_button(page)).to_be_focused()


async def test_budget_too_small_is_mended_by_one_press(page: Page) -> None:
    await choose(page)
    await unfold(page, "All networks")
    await page.get_by_label("Network width").select_option(label="Full width")
    await unfold(page, "Time limit")
    await set_number(page, "Time limit, seconds", "0.05")
    await run_button(page).click()
    alert = page.get_by_role("alert")
    await expect(alert).to_contain_text("The time limit is too short")
    await alert.get_by_role("button", name="Try with").click()
    await expect(page.locator(".comparing")).to_be_visible()
    await expect(alert).to_be_hidden()
    await expect(page.get_by_role("link", name="Download")).to_be_focused()
    field = page.get_by_role("spinbutton", name="Time limit, seconds")
    assert float(await field.input_value()) > 0.1


async def test_cancel_cancels(page: Page, worker: ScriptedWorker) -> None:
    worker.go.clear()
    await choose(page)
    await run_button(page).click()
    async with asyncio.timeout(START_S):
        await worker.claimed.wait()
    await expect(page.locator("#progress-text")).to_contain_text("Working, ")
    await page.get_by_role("button", name="Cancel").click()
    async with asyncio.timeout(START_S):
        await worker.cancelled.wait()
    await expect(run_button(page)).to_be_focused()
    await expect(page.get_by_role("alert")).to_be_hidden()
    worker.go.set()
    assert size_of(await upscaled(page, "2")) == (2 * WIDTH, 2 * HEIGHT)


async def test_service_that_warms_up(blank: Page, start: Start) -> None:
    async with start() as served:
        await blank.clock.install(time=0)
        page = await opened(blank, served)
        await expect(page.locator("#health")).to_have_text("Warming up")
        await choose(page)
        await page.clock.pause_at(60)
        await run_button(page).click()
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
        await choose(page)
        await run_button(page).click()
        await expect(page.get_by_role("alert")).to_contain_text("The service is busy")
        worker.go.set()
        await page.get_by_role("button", name="Try again", exact=True).click()
        await expect(page.locator(".comparing")).to_be_visible()


async def test_the_page_of_a_proxy_is_understood_by_its_status(page: Page) -> None:
    async def refuse(route: Route) -> None:
        await route.fulfill(status=413, body="<html>Request Entity Too Large</html>")

    await page.route("**/upscale", refuse)
    await choose(page)
    await run_button(page).click()
    alert = page.get_by_role("alert")
    await expect(alert).to_contain_text("The file is too large")
    await expect(alert).to_contain_text("A server on the way answered 413.")
