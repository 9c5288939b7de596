"""Drives the page as a visitor does: chooses pictures, sets numbers, runs."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageDraw
from playwright.async_api import FilePayload, Locator, Page, expect

from tests.service.harness import RunningGateway, drawn, encoded

WIDTH, HEIGHT = 40, 30
"""Of the picture that most tests send."""

TEXT: FilePayload = {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"no picture"}
"""A file that is no picture."""

COLOURS = ("red", "green", "blue")
"""Of the frames or pages, in order."""


async def opened(page: Page, served: RunningGateway) -> Page:
    """Open the page, and wait until it knows the models.

    The browser reports file dialogues from the beginning: it loses one that opens while it
    starts to.
    """
    page.on("filechooser", lambda _: None)
    await page.goto(f"http://127.0.0.1:{served.port}/")
    await expect(page.locator("#choices label")).to_have_count(4)
    return page


def picture(name: str = "photo.png", content: bytes | None = None) -> FilePayload:
    """A file for the dialogue: by default a PNG of WIDTH x HEIGHT."""
    buffer = drawn(WIDTH, HEIGHT) if content is None else content
    return {"name": name, "mimeType": "image/png", "buffer": buffer}


def frames(name: str, image_format: str) -> FilePayload:
    """A file with a frame or page of each colour."""
    first, *others = (Image.new("RGB", (WIDTH, HEIGHT), colour) for colour in COLOURS)
    content = encoded(first, image_format, save_all=True, append_images=others)
    return {"name": name, "mimeType": "", "buffer": content}


def still(name: str, image: Image.Image, image_format: str) -> FilePayload:
    """A file of one picture."""
    return {"name": name, "mimeType": "", "buffer": encoded(image, image_format)}


def transparent() -> Image.Image:
    """A picture of which a quarter is transparent."""
    image = Image.new("RGBA", (WIDTH, HEIGHT), "navy")
    ImageDraw.Draw(image).rectangle((0, 0, WIDTH // 2 - 1, HEIGHT // 2 - 1), fill=(0, 0, 0, 0))
    return image


def noise(width: int, height: int) -> bytes:
    """A PNG that is no smaller than its samples."""
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    return encoded(Image.fromarray(pixels))


async def choose(page: Page, *files: FilePayload) -> None:
    """Choose files by the dialogue of the empty page; by default one picture."""
    async with page.expect_file_chooser() as chooser:
        await page.get_by_role("button", name="Choose pictures").click()
    await (await chooser.value).set_files(list(files) or [picture()])
    await expect(page.locator("#view, #problem").filter(visible=True).first).to_be_visible()


async def choose_another(page: Page, content: bytes) -> None:
    """Replace the picture by one of this content."""
    name = f"{len(content)}.png"
    await page.locator("#file").set_input_files(picture(name, content))
    await expect(page.locator("#file-name")).to_have_text(name)


async def set_number(page: Page, label: str, value: str) -> None:
    """Type a number into a field, and leave it."""
    field = page.get_by_role("spinbutton", name=label)
    await field.fill(value)
    await field.press("Tab")


async def unfold(page: Page, name: str) -> Locator:
    """Open a folded part of the page."""
    part = page.locator("details", has=page.locator("summary", has_text=name))
    if await part.get_attribute("open") is None:
        await part.locator("summary").click()
    return part


def kind(page: Page, name: str) -> Locator:
    """One of the four choices that stand for most settings: automatic, photo, compressed, best."""
    return page.locator(f'#choices input[value="{name}"]')


def run_button(page: Page) -> Locator:
    """The button that starts the run."""
    return page.get_by_role("button", name="Upscale")


async def upscaled(page: Page, scale: str = "2.37") -> bytes:
    """Run with the picture chosen until the comparison is drawn; the body of the answer."""
    await set_number(page, "Scale", scale)
    async with page.expect_response("**/upscale") as response:
        await run_button(page).click()
    body = await (await response.value).body()
    await expect(page.locator(".comparing")).to_be_visible()
    return body


def size_of(content: bytes) -> tuple[int, int]:
    """Width and height of an image file."""
    with Image.open(io.BytesIO(content)) as image:
        return image.size
