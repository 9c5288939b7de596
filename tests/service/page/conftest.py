"""The page in a real browser, on the real gateway and the real queue.

- test_run: from a picture to its result; what goes wrong on the way
- test_batch: several pictures, and their zip
- test_settings: the controls, and what reaches the job
- test_estimates: what is said before anything is sent
- test_formats: frames, transparency, and pictures that the browser cannot show
- test_stated_sizes: sizes that the page reads from files which the browser cannot show
- test_example: what the empty page shows
- test_key: the field for a key
- test_viewer: comparison, zoom, pan
- test_kept: what survives a reload
- test_sentences, test_bicubic: the modules that compute and word
- test_accessibility: axe-core, the keyboard, a phone
"""

from __future__ import annotations

import pytest
from playwright.async_api import Page

from tests.service.harness import RunningGateway
from tests.service.page.driving import opened


@pytest.fixture
async def page(blank: Page, served: RunningGateway) -> Page:
    """The page, open and served by a gateway that is ready."""
    return await opened(blank, served)
