"""The modules that word and compute, called in the browser."""

from __future__ import annotations

import io
import zipfile
from datetime import datetime

from PIL import Image
from playwright.async_api import Page

from jobs.formats import ImageFormat, labels
from jobs.job import Reason
from models.geometry import output_size
from service.problems import STATUS
from tests.service.harness import encoded


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
    *("admin_disabled", "job_not_found", "job_not_finished", "result_expired", "batch_not_found"),
    *("webhook_not_found", "links_disabled", "link_expired", "signature_invalid"),
}
"""Codes of routes that the page does not call."""
UNSENT = {
    *("quality_infeasible", "idempotency_key_reused", "webhooks_disabled"),
    # of image_url and result
    *("address_refused", "source_not_allowed", "bucket_not_allowed", "result_not_allowed"),
    *("remote_unreachable", "remote_too_slow", "too_many_redirects", "remote_refused"),
    *("source_changed", "bucket_denied", "bucket_not_found", "object_not_found"),
    *("not_durable", "not_durable_yet"),  # of durable
    # of upload
    *("uploads_disabled", "upload_not_found", "upload_unfilled", "upload_used"),
}
"""Codes of parameters that the page does not send."""
IN_THE_BROWSER = {"unreadable_file", "unreachable"}
"""Codes of what goes wrong before the service hears of it."""


async def test_each_problem_is_explained(page: Page) -> None:
    codes = await page.evaluate(
        """async () => Object.keys((await import("/static/problems.js")).WORDS)"""
    )
    assert set(codes) == STATUS.keys() - NEVER_HERE - UNSENT | IN_THE_BROWSER


async def test_the_best_is_the_best_that_a_budget_allows(page: Page) -> None:
    cases = {
        (15, 1500, 9000, 700_000): "About 1.4 s. The fastest network needs 1.5 s, the best 9 s.",
        (15, 1500, 700_000): "About 1.4 s.",
        (15, 700_000): "About 0.02 s.",
        (15,): "About 0.02 s.",
    }
    estimates = [
        {
            "rungs": [
                {
                    "width": float(n > 0),
                    "budget_ms": ms,
                    "safe_ms": ms,
                    "expected_ms": ms if n == 0 else 0.9 * ms,
                }
                for n, ms in enumerate(budgets)
            ],
            "wait_ms": 0,
            "default_budget_ms": 10_000,
        }
        for budgets in cases
    ]
    found = await page.evaluate(
        """async (estimates) => {
          const {estimateSentence} = await import("/static/estimate.js");
          return estimates.map((estimate) => estimateSentence(estimate, 2000));
        }""",
        estimates,
    )
    assert [text.replace("\u00a0", " ") for text in found] == list(cases.values())


async def test_times_are_in_seconds(page: Page) -> None:
    cases = {
        0.4: "0.01 s",
        42: "0.04 s",
        94.9: "0.09 s",
        96: "0.1 s",
        2840: "2.8 s",
        9960: "10 s",
        119_400: "119 s",
        125_000: "2 min 5 s",
        240_000: "4 min",
    }
    found = await page.evaluate(
        """async (cases) => {
          const {duration} = await import("/static/units.js");
          return cases.map(duration);
        }""",
        list(cases),
    )
    assert [text.replace("\u00a0", " ") for text in found] == list(cases.values())


async def test_the_previewed_size_is_the_service_s(page: Page) -> None:
    cases = [(size, step / 100) for size in (1, 3, 50, 333, 4001) for step in range(100, 801, 7)]
    found = await page.evaluate(
        """async (cases) => {
          const {outputSize} = await import("/static/output-size.js");
          return cases.map(([size, scale]) => outputSize(size, scale));
        }""",
        cases,
    )
    assert found == [output_size(size, scale) for size, scale in cases]


async def test_a_size_in_pixels_is_previewed_as_the_service_makes_it(page: Page) -> None:
    cases = [(w, h, p) for w, h in ((40, 30), (333, 77), (7, 4001)) for p in (4001, 5000, 8003)]
    found = await page.evaluate(
        """async (cases) => {
          const {resultSize} = await import("/static/output-size.js");
          return cases.map(([width, height, pixels]) =>
            resultSize({width, height}, {by: "width", pixels, scale: 2}).height);
        }""",
        [list(case) for case in cases],
    )
    assert found == [output_size(h, p / w) for w, h, p in cases]


def iso(*brands: bytes) -> bytes:
    """The first box of an ISO media file."""
    major, *others = brands
    body = b"ftyp" + major + bytes(4) + b"".join(others)
    return (4 + len(body)).to_bytes(4) + body + b"\0\0\0\x08mdat"


EXAMINE = """async ([files, added]) => {
  const {examined} = await import("/static/file-kind.js");
  const {limits} = await (await fetch("/models")).json();
  const formats = [...limits.formats, ...added];
  const found = files.map(async ([name, bytes]) => {
    const file = new File([new Uint8Array(bytes)], name);
    const {format, refusal} = await examined(file, formats);
    return [format?.name ?? null, refusal];
  });
  return Promise.all(found);
}"""


async def test_every_format_that_the_service_writes_is_recognised(page: Page) -> None:
    """Whatever its file is named."""
    image = Image.linear_gradient("L").convert("RGB")
    names = {ImageFormat.PNG, ImageFormat.JPEG, ImageFormat.WEBP, ImageFormat.AVIF}
    files = [["scan.dat", list(encoded(image, name.value))] for name in sorted(names)]
    files += [["a.avif", list(iso(b"mif1", b"miaf", b"avif"))]]
    files += [["a.jxl", list(b"\xff\x0a\0")], ["a.jxl", list(b"\0\0\0\x0cJXL \r\n\x87\n")]]
    files += [["a.heic", list(iso(b"mif1", b"miaf", b"heic"))]]
    found = await page.evaluate(EXAMINE, [files, []])
    assert found == [[name, ""] for name in [*sorted(names), "avif", "jxl", "jxl", "heic"]]


async def test_what_the_service_does_not_read_is_named(page: Page) -> None:
    files = {
        "a.psd": (b"8BPS\0\1", "This is a Photoshop file"),
        "a.txt": ("Grüße\n".encode(), "This is a text file"),
        "a.svg": (b'<?xml version="1.0"?><svg xmlns="x"/>', "This is a vector drawing"),
        "a.mov": (b"\0\0\0\x14ftypqt  ", "This is a film"),
        "a.ico": (b"\0\0\1\0\1\0", "This is an icon"),
        "a.jp2": (b"\0\0\0\x0cjP  \r\n\x87\n", "This is a JPEG 2000 picture"),
        "a.cr3": (b"\0\0\0\x18ftypcrx ", "This is a raw photograph"),
        "a.png": (b"PK\3\4", "This is a zip archive or Office document"),
        "b.png": (b"", "The file is empty."),
        "a.dat": (bytes(range(200, 250)), "This is no picture of a known format"),
    }
    named = [[name, list(content)] for name, (content, _) in files.items()]
    found = await page.evaluate(EXAMINE, [named, []])
    for (_, words), (_, refusal) in zip(files.values(), found, strict=True):
        assert refusal.startswith(words), refusal
    assert f"the service reads {labels(last='and')}." in found[0][1]
    # Bytes that nobody knows, under the suffix of a format: the service may read them.
    assert await page.evaluate(EXAMINE, [[["a.png", [1, 2, 200, 3]]], []]) == [[None, ""]]


async def test_a_format_is_read_as_soon_as_the_service_lists_it(page: Page) -> None:
    media_types = {"psd": "image/vnd.adobe.photoshop", "new": "image/new"}
    rows = [
        {"name": name, "label": name.upper(), "media_type": kind, "suffixes": [f".{name}"]}
        for name, kind in media_types.items()
    ]
    files = [["a.dat", list(b"8BPS\0\1")], ["a.NEW", [1, 2, 200]], ["a.txt", list(b"text")]]
    found = await page.evaluate(EXAMINE, [files, rows])
    assert found[:2] == [["psd", ""], [None, ""]]
    assert found[2][1].endswith(", PSD and NEW.")


ZIP = """async (files) => {
  const {zipped} = await import("/static/zip.js");
  const {distinctNames} = await import("/static/result-name.js");
  const names = distinctNames(files.map(([name]) => name));
  const blobs = files.map(([, bytes]) => new Blob([new Uint8Array(bytes)]));
  const parts = blobs.map((blob, i) => ({name: names[i], blob}));
  const archive = await zipped(parts, new Date(2026, 6, 31, 23, 59, 58));
  return [...new Uint8Array(await archive.arrayBuffer())];
}"""


async def test_a_zip_holds_each_file_once_by_its_name(page: Page) -> None:
    contents = [b"first", b"", bytes(range(256)) * 300, b"x", b"y"]
    names = ["a.png", "Grün 日本.png", "b", "A.PNG", "a.png"]
    files = [[name, list(content)] for name, content in zip(names, contents, strict=True)]
    archive = bytes(await page.evaluate(ZIP, files))
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        assert opened.testzip() is None
        expected = ["a.png", "Grün 日本.png", "b", "A (2).PNG", "a (3).png"]
        assert opened.namelist() == expected
        assert [opened.read(name) for name in expected] == contents
        assert {datetime(*info.date_time) for info in opened.infolist()} == {
            datetime(2026, 7, 31, 23, 59, 58)
        }
        assert {info.compress_type for info in opened.infolist()} == {zipfile.ZIP_STORED}
