"""Every bad input is refused with its own code and never reaches the queue."""

from __future__ import annotations

import asyncio
import json
import struct
import time
import zlib
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from scheduling.request import PARAMETERS
from tests.service.harness import (
    MODEL,
    RunningGateway,
    ScriptedWorker,
    Start,
    assert_problem,
    drawn,
    encoded,
)


async def assert_nothing_enqueued(served: RunningGateway, worker: ScriptedWorker) -> None:
    stats = await served.stats()
    assert (stats.queued, stats.running) == (0, 0)
    assert not worker.claims


def png_that_claims(width: int, height: int) -> bytes:
    """A PNG of a few bytes with any size in its header."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + data


def animated(image_format: str) -> bytes:
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "green", "blue")]
    return encoded(frames[0], image_format, save_all=True, append_images=frames[1:])


@pytest.mark.parametrize(
    ("picture", "status", "code"),
    [
        (b"", 400, "empty_body"),
        (b"This is a text, and not a picture at all.\n", 415, "unsupported_image"),
        (drawn()[:20], 400, "corrupt_image"),
        (png_that_claims(100_000, 100_000), 413, "image_too_large"),
        (animated("gif"), 422, "animated_image"),
        (animated("webp"), 422, "animated_image"),
        (b"\xff\x0aA\x04\x01", 422, "animated_image"),
        (b"\xff\x0a\x00", 400, "corrupt_image"),
        (b"\xff\x0a\xfe4\x0c\x00\x12", 413, "image_too_large"),
    ],
    ids=["empty", "text", "torn", "giant", "gif", "webp", "jxl", "torn-jxl", "giant-jxl"],
)
@pytest.mark.parametrize("multipart", [False, True], ids=["raw", "form"])
async def test_bad_pictures(
    served: RunningGateway,
    worker: ScriptedWorker,
    picture: bytes,
    status: int,
    code: str,
    multipart: bool,
) -> None:
    if multipart:
        files = {"image": ("a.png", picture, "image/png")}
        response = await served.client.post("/upscale", data={"scale": "2"}, files=files)
    else:
        response = await served.upscale(picture)
    assert_problem(response, status, code)
    await assert_nothing_enqueued(served, worker)


async def test_truncated_picture_is_found_at_decoding(
    served: RunningGateway, worker: ScriptedWorker
) -> None:
    picture = drawn(200, 200)
    response = await served.upscale(picture[: len(picture) // 2])
    assert_problem(response, 400, "corrupt_image")
    assert len(worker.claims) == 1


@pytest.mark.parametrize(
    ("params", "code", "words"),
    [
        ({"scale": "0"}, "invalid_request", "scale"),
        ({"scale": "-1"}, "invalid_request", "greater than 0"),
        ({"scale": "NaN"}, "invalid_request", "must be a number"),
        ({"scale": "1e999"}, "invalid_request", "finite"),
        ({"scale": "1e9"}, "invalid_request", "from 1 to 8"),
        ({"scale": "0.99"}, "invalid_request", "from 1 to 8"),
        ({"scale": ""}, "invalid_request", "scale"),
        ({"on_miss": "reject"}, "invalid_request", "exactly one of scale"),
        ({"scale": "2", "width": "40"}, "invalid_request", "exactly one of scale"),
        ({"scale": "2", "scale_h": "2", "scale_w": "2"}, "invalid_request", "exactly one"),
        ({"scale_h": "2"}, "invalid_request", "both scale_h and scale_w"),
        ({"width": "10"}, "invalid_request", "from 1 to 8"),
        ({"width": "0"}, "invalid_request", "width"),
        ({"width": "9" * 400}, "invalid_request", "width"),
        ({"width": "40.5"}, "invalid_request", "width"),
        ({"scale": "2", "latency_budget_ms": "-5"}, "invalid_request", "latency_budget_ms"),
        ({"scale": "2", "latency_budget_ms": "nan"}, "invalid_request", "latency_budget_ms"),
        ({"scale": "2", "latency_budget_ms": "1e12"}, "invalid_request", "at most 600000"),
        ({"scale": "2", "on_miss": "shrug"}, "invalid_request", "'degrade' or 'reject'"),
        ({"scale": "2", "format": "tga"}, "invalid_request", "auto, png, jpeg"),
        ({"scale": "2", "quality": "101"}, "invalid_request", "quality"),
        ({"scale": "2", "metadata": "all"}, "invalid_request", "'keep', 'copyright' or 'none'"),
        ({"scale": "2", "anysr_width": "7"}, "invalid_request", "anysr_width"),
        *(
            (
                {"scale": "2", "strength": given},
                "invalid_request",
                f"strength must be auto or a number from 0 to 1, got {given!r}.",
            )
            for given in ("-0.1", "1.1", "nan", "abc", "")
        ),
        ({"scale": "2", "colour": "red"}, "invalid_request", "unknown parameter 'colour'"),
        ({"scale": ["2", "3"]}, "invalid_request", "more than once"),
        ({"scale": "2", "model": "none-such"}, "unknown_model", MODEL),
        ({"scale": "2", "anysr_width": "0.3"}, "unknown_width", "0.25, 0.5, 1"),
    ],
)
async def test_bad_parameters(
    served: RunningGateway, worker: ScriptedWorker, params: dict[str, Any], code: str, words: str
) -> None:
    for answer in (
        await served.upscale(**params),
        await served.client.post("/upscale", data=params, files={"image": ("a", drawn())}),
        await served.client.post(
            "/jobs", params=params, content=drawn(), headers={"Content-Type": "image/png"}
        ),
    ):
        members = assert_problem(answer, 422, code)
        assert words in members["detail"]
    await assert_nothing_enqueued(served, worker)


async def test_a_side_that_no_webp_holds(served: RunningGateway, worker: ScriptedWorker) -> None:
    long = drawn(2400, 4)
    response = await served.upscale(long, scale=8, format="webp")
    members = assert_problem(response, 413, "output_too_large")
    assert members["max_side"] == 16_382
    assert "format png or jpeg or avif or jxl" in members["detail"]
    await assert_nothing_enqueued(served, worker)


@pytest.mark.parametrize(
    ("files", "code", "status"),
    [
        ([("picture", ("a.png", drawn()))], "invalid_request", 422),
        ([("image", ("a.png", drawn())), ("image", ("b.png", drawn()))], "invalid_request", 422),
        ([("image", (None, b"text"))], "invalid_request", 422),
        ([("other", (None, b"text"))], "invalid_request", 422),
        ([("scale", (None, b"2" * 5000)), ("image", ("a", drawn()))], "invalid_request", 422),
        ([(f"f{i}", (None, b"1")) for i in range(100)], "invalid_request", 422),
    ],
    ids=["misnamed", "two", "not-a-file", "unknown", "long-field", "many-fields"],
)
async def test_bad_forms(
    served: RunningGateway, worker: ScriptedWorker, files: Any, code: str, status: int
) -> None:
    assert_problem(await served.client.post("/upscale", files=files), status, code)
    await assert_nothing_enqueued(served, worker)


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=x; charset=rot13",
        "multipart/form-data; boundary=x; charset=utf-7",
        "multipart/form-data; boundary=" + "x" * 300,
    ],
)
async def test_broken_multipart(served: RunningGateway, content_type: str) -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="+2AA-"\r\n\r\n+2AA-\r\n--x--\r\n'
    for content in (body, b"--x\r\nnonsense", b"\x00" * 50, b"--x--\r\n"):
        headers = {"Content-Type": content_type}
        response = await served.client.post("/upscale", content=content, headers=headers)
        assert response.status_code in (400, 422), response.text
        assert response.json()["code"] in ("invalid_request", "empty_body")


@pytest.mark.parametrize("name", ["image", "other"])
async def test_a_form_that_ends_within_a_part(
    served: RunningGateway, worker: ScriptedWorker, name: str
) -> None:
    part = f'--x\r\nContent-Disposition: form-data; name="{name}"; filename="a"\r\n\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    response = await served.client.post(
        "/upscale", content=part.encode() + drawn(), headers=headers
    )
    members = assert_problem(response, 422, "invalid_request")
    assert "ends within a part" in members["detail"]
    await assert_nothing_enqueued(served, worker)


async def test_form_without_a_picture(served: RunningGateway) -> None:
    response = await served.client.post(
        "/upscale", files=[("scale", (None, b"2")), ("format", (None, b"png"))]
    )
    assert_problem(response, 400, "empty_body")


@pytest.mark.parametrize("kind", ["text/plain", "application/json", ""])
async def test_unsupported_content_type(served: RunningGateway, kind: str) -> None:
    response = await served.client.post(
        "/upscale?scale=2", content=drawn(), headers={"Content-Type": kind}
    )
    assert_problem(response, 415, "unsupported_image")


async def test_output_too_large(start: Start, worker: ScriptedWorker) -> None:
    async with start(max_output_pixels=2000) as served:
        assert_problem(await served.upscale(scale=8), 413, "output_too_large")
        assert (await served.upscale(scale=2)).status_code == 200
    assert len(worker.claims) == 1


async def test_a_picture_that_takes_too_much_memory_is_refused_before_it_is_queued(
    start: Start, worker: ScriptedWorker
) -> None:
    async with start(max_job_bytes=64 << 20) as served:
        picture = drawn(1000, 800)
        for path in ("/upscale", "/jobs"):
            refused = await served.client.post(
                f"{path}?scale=2&format=avif",
                content=picture,
                headers={"Content-Type": "image/png"},
            )
            members = assert_problem(refused, 413, "output_too_large")
            assert "2000 x 1600 pixels as avif takes" in members["detail"]
            assert members["max_job_bytes"] == 64 << 20
        assert (await served.upscale(picture, scale=2)).status_code == 200
    assert len(worker.claims) == 1


async def test_declared_length_over_the_limit_is_refused_unread(
    start: Start, worker: ScriptedWorker
) -> None:
    async with start(max_body_bytes=1000) as served:
        head = "POST /upscale?scale=2 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1001\r\n\r\n"
        members = await early_answer(served, head.encode(), b"\x00" * 10)
        assert members["code"] == "body_too_large"
        await assert_nothing_enqueued(served, worker)


@pytest.mark.parametrize("kind", ["image/png", "multipart/form-data; boundary=x"])
async def test_endless_body_is_refused_while_it_streams(
    start: Start, worker: ScriptedWorker, kind: str
) -> None:
    part = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
    async with start(max_body_bytes=100_000) as served:
        query = "?scale=2" if kind == "image/png" else ""
        head = (
            f"POST /upscale{query} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n"
            "Transfer-Encoding: chunked\r\n\r\n"
        )
        # Little more than the limit, and then silence: the body never ends.
        first = part + b"\x00" * 60_000
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(c), c) for c in (first, b"\x00" * 60_000))
        members = await early_answer(served, head.encode() + chunks, b"1\r\n\x00\r\n")
        assert members["code"] == "body_too_large"
        await assert_nothing_enqueued(served, worker)


async def early_answer(served: RunningGateway, sent: bytes, rest: bytes) -> dict[str, Any]:
    """Send a part of a request, and return the problem that is answered before its end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    try:
        writer.write(sent)
        async with asyncio.timeout(3):
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 413 ")
            assert b"connection: close" in head.lower()
            fields = dict(line.split(b": ", 1) for line in head.lower().splitlines()[1:-1])
            members = json.loads(await reader.readexactly(int(fields[b"content-length"])))
            # The rest of the body is still taken, for a moment, so that a caller who is busy
            # sending does not lose the answer.
            writer.write(rest)
            assert await reader.read() == b""
    finally:
        writer.close()
    assert isinstance(members, dict)
    return members


async def test_the_sender_of_too_large_a_body_receives_the_refusal(start: Start) -> None:
    async with start(max_body_bytes=100_000) as served:
        response = await served.upscale(b"\x00" * 20_000_000)
        assert_problem(response, 413, "body_too_large")
        assert (await served.client.get("/health/live")).status_code == 200


async def test_parameters_are_checked_before_a_raw_body_is_read(
    served: RunningGateway,
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(
        b"POST /upscale?scale=-1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n"
    )
    async with asyncio.timeout(3):
        assert (await reader.readline()).startswith(b"HTTP/1.1 422 ")
    writer.close()


async def test_a_body_that_does_not_arrive_times_out(start: Start) -> None:
    async with start(upload_timeout_seconds=0.05) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(
            b"POST /upscale?scale=2 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n"
        )
        async with asyncio.timeout(3):
            assert (await reader.readline()).startswith(b"HTTP/1.1 408 ")
        writer.close()


async def test_too_many_uploads_at_once(start: Start, worker: ScriptedWorker) -> None:
    async with start(max_uploads=1) as served:
        _, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(
            b"POST /upscale?scale=2 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\nab"
        )
        await writer.drain()
        until = time.monotonic() + 2
        while (response := await served.upscale()).status_code == 200:
            assert time.monotonic() < until
        members = assert_problem(response, 429, "overloaded")
        assert members["detail"] == "Too many uploads at once."  # not: from this address
        assert response.headers["retry-after"] == "1"
        writer.close()
    assert worker.go.is_set()


JUNK = st.text(max_size=30) | st.sampled_from(["nan", "1e999", "-0", "0x10", "٣", "1_0", "\x00"])


@given(params=st.dictionaries(st.sampled_from(PARAMETERS) | st.text(max_size=8), JUNK, max_size=5))
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_junk_is_never_a_server_error(served: RunningGateway, params: dict[str, str]) -> None:
    response = await served.client.post(
        "/upscale", params=params, content=drawn(), headers={"Content-Type": "image/png"}
    )
    assert response.status_code == 200 or 400 <= response.status_code < 500, response.text
    if response.status_code != 200:
        assert_problem(response, response.status_code, response.json()["code"])
