"""The enlargement that results are compared with."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image
from playwright.async_api import Page

from models.geometry import output_size

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
