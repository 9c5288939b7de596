"""The sandboxed decoder: the same pictures, and what an attack on a decoder does to it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, features

from benchmarks.heic_pictures import ALPHA_OF_HEIC, coded, heic, nclx, picture_item
from benchmarks.specimens import specimens
from benchmarks.tiff_pictures import Page, tiff_file
from images.colour_space import SRGB_CHROMATICITIES
from images.containers import tiff as tags
from images.decode import decode
from images.encode import encode
from images.features import measured
from images.heic import reads_heic
from images.picture import Picture, Raster
from images.sandbox import decoder as sandbox
from images.sandbox import wire
from images.sandbox.confinement import BYTES_PER_PIXEL, SPARE_BYTES
from images.sandbox.decoder import (
    DecodingInterrupted,
    End,
    SandboxedDecoder,
    decoding_seconds,
    supported,
)
from jobs.errors import (
    CorruptImage,
    DecodingTooLong,
    ImageTooLarge,
    InvalidRequest,
    UnsupportedImage,
)
from jobs.formats import ImageFormat
from tests.support.pictures import draw_endless_jpeg
from tests.support.png import png
from tests.support.waiting import eventually_sync

LIMIT = 1_000_000
Message = dict[str, object]
UNLIMITED = 10**10
"""Pixels, with which no JPEG has too many scans."""
AMPLE_S = 60.0

pytestmark = pytest.mark.skipif(not supported(), reason="the sandbox is for Linux")


class Decoder(SandboxedDecoder):
    """A sandboxed decoder that lists its ends."""

    def __init__(self, max_pixels: int = LIMIT) -> None:
        self.ends: list[End] = []
        super().__init__(max_pixels, self.ends.append)

    def __call__(self, data: bytes, seconds: float = AMPLE_S, limit: int = 4 * LIMIT) -> Picture:
        return self.within(seconds)(data, limit)


@pytest.fixture
def decoder() -> Iterator[Decoder]:
    made = Decoder()
    yield made
    made.close()


def saved(image: Image.Image, image_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=image_format, **options)
    return buffer.getvalue()


def drawn(mode: str, width: int = 61, height: int = 47) -> Image.Image:
    rng = np.random.default_rng(1)
    return Image.fromarray(rng.integers(0, 256, (height, width, 4), np.uint8)).convert(mode)


def deep(channels: int) -> bytes:
    rng = np.random.default_rng(2)
    samples = rng.integers(0, 1 << 16, (31, 29, channels), np.uint16)
    return encode(Picture(Raster(samples)), ImageFormat.PNG, 90)


def with_metadata() -> bytes:
    exif = Image.Exif()
    exif[0x0112], exif[0x013B] = 6, "a painter"  # orientation, artist
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return saved(drawn("RGB"), "JPEG", exif=exif, icc_profile=profile)


PRIMARIES = struct.pack(">8I", *SRGB_CHROMATICITIES)
FILES = {
    "jpeg": lambda: saved(drawn("RGB"), "JPEG"),
    "jpeg with a profile, turned": with_metadata,
    "cmyk": lambda: saved(drawn("CMYK"), "JPEG"),
    "grey": lambda: saved(drawn("L"), "PNG"),
    "grey and alpha": lambda: saved(drawn("LA"), "PNG"),
    "palette": lambda: saved(drawn("P"), "PNG"),
    "bilevel": lambda: saved(drawn("1"), "PNG"),
    "16 bits": lambda: deep(3),
    "16 bits and alpha": lambda: deep(4),
    "code points": lambda: png(np.zeros((9, 8, 3), int), 8, [(b"cICP", bytes((9, 16, 0, 1)))]),
    "gamma": lambda: png(np.zeros((9, 8, 3), int), 8, [(b"gAMA", b"\0\1\0\0")]),
    "primaries": lambda: png(np.zeros((9, 8, 3), int), 8, [(b"cHRM", PRIMARIES)]),
    "webp": lambda: saved(drawn("RGBA"), "WEBP"),
    "beyond one message": lambda: saved(drawn("RGBA", 400, 300), "PNG"),
    **({"avif": lambda: saved(drawn("RGBA"), "AVIF")} if features.check("avif") else {}),
}
LATER = ("tiff", "heic", "gif", "bmp", "jxl")


def test_every_kind_of_picture_is_the_one_of_plain_decoding(decoder: Decoder) -> None:
    files = {name: file() for name, file in FILES.items()}
    files |= {name: data for name, data in specimens().items() if name.startswith(LATER)}
    for name, data in files.items():
        plain, made = decode(data, LIMIT), decoder(data)
        assert made.pixels.samples.dtype == plain.pixels.samples.dtype, name
        assert np.array_equal(made.pixels.samples, plain.pixels.samples), name
        assert (made.kind, made.icc) == (plain.kind, plain.icc), name
        assert (made.metadata, made.rights) == (plain.metadata, plain.rights), name
        assert made.space == plain.space, name
    assert decoder.ends == []


def test_frames_are_those_of_plain_decoding(decoder: Decoder) -> None:
    frames = [drawn("RGB"), drawn("RGB").transpose(Image.Transpose.ROTATE_180)]
    for image_format in ("PNG", "GIF", "WEBP", "TIFF"):
        data = saved(frames[0], image_format, save_all=True, append_images=frames[1:])
        made = decoder.within(AMPLE_S)(data, LIMIT, 1)
        assert np.array_equal(made.pixels.samples, decode(data, LIMIT, 1).pixels.samples)
        with pytest.raises(InvalidRequest, match="got 2"):
            decoder.within(AMPLE_S)(data, LIMIT, 2)
    assert decoder.ends == []


def test_errors_of_a_picture_are_those_of_plain_decoding(decoder: Decoder) -> None:
    large = saved(Image.new("L", (2001, 2000)), "PNG")
    for data, error in (
        (FILES["jpeg"]()[:-200], CorruptImage),
        (b"no picture", UnsupportedImage),
        (large, ImageTooLarge),
    ):
        with pytest.raises(error) as raised:
            decoder(data)
        with pytest.raises(error) as plain:
            decode(data, 4 * LIMIT)
        assert (raised.value.detail, raised.value.details) == (
            plain.value.detail,
            plain.value.details,
        )
    assert decoder.ends == []


def test_a_picture_that_takes_too_long_is_ended_and_the_next_one_is_decoded(
    decoder: Decoder,
) -> None:
    decoder(FILES["grey"]())
    first = decoder.pid
    since = time.monotonic()
    with pytest.raises(DecodingTooLong):
        decoder(draw_endless_jpeg(), 0.5, UNLIMITED)
    assert time.monotonic() - since < 30  # it would take minutes
    assert decoder(FILES["grey"]()).width == 61
    assert decoder.ends == [End.TIMEOUT]
    assert decoder.pid != first
    assert first is not None
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)


def test_a_picture_that_was_decoded_while_its_worker_was_stopped_is_handed_over(
    decoder: Decoder,
) -> None:
    data = saved(Image.new("RGB", (1000, 1000), "red"), "PNG")
    decoder(data)
    call = decoder.within(0.0)  # its time is over as soon as the worker looks at the clock
    call.begin(data, 4 * LIMIT)
    assert call.begun
    assert decoder._process is not None
    answers = decoder._process._socket
    eventually_sync(lambda: select.select([answers], [], [], 0)[0], "the decoder's answer")
    assert call(data, 4 * LIMIT).width == 1000
    assert decoder.ends == []


def test_a_process_whose_worker_is_gone_ends_by_its_own_clock(
    decoder: Decoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit of processor time alone: the worker waits for longer than the picture takes."""
    decoder(FILES["grey"]())
    send = wire.send

    def hurried(to: socket.socket, message: Message, *more: Any, **named: Any) -> None:
        send(to, {**message, "seconds": 0} if "seconds" in message else message, *more, **named)

    monkeypatch.setattr(wire, "send", hurried)
    with pytest.raises(DecodingTooLong):
        decoder(draw_endless_jpeg(), 3600, UNLIMITED)


def test_an_answer_of_another_size_than_announced_is_not_believed(
    decoder: Decoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    received = wire.received

    @contextlib.contextmanager
    def shortened(by: socket.socket) -> Iterator[wire.Received]:
        with received(by) as answer:
            yield answer._replace(inline=answer.inline[:-1])

    monkeypatch.setattr(wire, "received", shortened)
    with pytest.raises(CorruptImage):
        decoder(FILES["grey"]())
    monkeypatch.undo()
    assert decoder(FILES["grey"]()).width == 61
    assert decoder.ends == [End.CRASH]


def test_the_process_measures_the_features_of_the_samples(decoder: Decoder) -> None:
    picture = decoder(FILES["grey"]())
    features, here = picture.pixels.features, measured(picture.pixels.samples)
    assert features is not None
    assert features.bands == pytest.approx(here.bands, abs=1e-4)
    assert features[1:] == pytest.approx(here[1:], abs=1e-4)


@pytest.mark.parametrize(
    "wrong", [None, [[0.0] * 8, 0, 0], [[0.0] * 9, "NaN", 0], [[99.0] * 9, 0, 0]]
)
def test_impossible_features_are_not_believed(
    decoder: Decoder, monkeypatch: pytest.MonkeyPatch, wrong: Any
) -> None:
    received = wire.received

    @contextlib.contextmanager
    def changed(by: socket.socket) -> Iterator[wire.Received]:
        with received(by) as answer:
            if "features" in answer.message:
                answer.message["features"] = wrong
            yield answer

    monkeypatch.setattr(wire, "received", changed)
    with pytest.raises(CorruptImage):
        decoder(FILES["grey"]())
    assert decoder.ends == [End.CRASH]


def test_a_crash_costs_one_picture(decoder: Decoder) -> None:
    decoder(FILES["grey"]())
    pid = decoder.pid
    assert pid is not None
    threading.Timer(0.3, os.kill, (pid, signal.SIGSEGV)).start()
    with pytest.raises(CorruptImage):
        decoder(draw_endless_jpeg(), AMPLE_S, UNLIMITED)
    assert decoder(FILES["grey"]()).width == 61
    assert decoder.ends == [End.CRASH]


@pytest.mark.parametrize("delay_s", [0.3, 0.0])
def test_an_interrupted_decoding_ends_at_once(decoder: Decoder, delay_s: float) -> None:
    decoder(FILES["grey"]())
    call = decoder.within(AMPLE_S)
    if delay_s:
        threading.Timer(delay_s, call.interrupt).start()
    else:
        call.interrupt()
    with pytest.raises(DecodingInterrupted):
        call(draw_endless_jpeg(), UNLIMITED)
    assert decoder.ends == ([End.INTERRUPTED] if delay_s else [])
    assert decoder(FILES["grey"]()).width == 61


def test_a_picture_that_takes_too_much_memory_is_refused_and_the_process_stays() -> None:
    decoder = Decoder(max_pixels=1)
    try:
        decoder(FILES["grey"]())
        pid = decoder.pid
        large = saved(Image.new("RGBA", (8000, 8000)), "PNG", compress_level=1)
        with pytest.raises(ImageTooLarge, match="memory"):
            decoder.within(AMPLE_S)(large, 64_000_000)
        assert decoder(FILES["grey"]()).width == 61
        assert (decoder.pid, decoder.ends) == (pid, [End.MEMORY])
    finally:
        decoder.close()


def virtual_bytes(pid: int | None, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(name + ":"))


def test_the_memory_of_a_decoding_is_what_the_limit_counts_for_its_pixels() -> None:
    side = 1000
    noise = np.random.default_rng(3).integers(0, 1 << 16, (side, side, 4), np.uint16)
    small = Image.fromarray((noise >> 8).astype(np.uint8))
    files = {
        "PNG of 16 bits": encode(Picture(Raster(noise)), ImageFormat.PNG, 90),
        "WebP": saved(small, "WEBP", lossless=True, quality=0, method=0),
        "progressive JPEG in CMYK": saved(small.convert("CMYK"), "JPEG", progressive=True),
    }
    if features.check("avif"):
        files["AVIF"] = saved(small, "AVIF", speed=10, subsampling="4:4:4", quality=60)
    if reads_heic():
        red, green, blue, alpha = np.moveaxis(noise >> 6, 2, 0)
        mask = picture_item(coded([alpha], 10), ALPHA_OF_HEIC, references=((b"auxl", (1,)),))
        colours = picture_item(coded([green, blue, red], 10), nclx(9, 16))
        files["HEIC of 10 bits"] = heic([colours, mask])
    multiplied = Page(noise, deflated=True, separate=True, extra=tags.ASSOCIATED)
    files["TIFF of 16 bits"] = tiff_file([multiplied])
    files["GIF"] = saved(small.convert("RGB").quantize(256), "GIF", transparency=3)
    files["BMP"] = saved(small, "BMP")
    for name, data in files.items():
        decoder = Decoder(25 * LIMIT)
        try:
            decoder(saved(drawn("RGB"), "PNG"))
            before = virtual_bytes(decoder.pid, "VmSize")
            assert decoder(data).width == side
            peak = virtual_bytes(decoder.pid, "VmPeak") - before
        finally:
            decoder.close()
        assert peak <= BYTES_PER_PIXEL * side * side + 2 * len(data) + SPARE_BYTES / 8, name
        assert peak >= 8 * side * side, f"{name}: nothing was measured"


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux what is resident")
def test_an_idle_process_returns_the_memory_of_its_pictures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without that, 5 MB of these two stay on its heap."""
    soon = "child.IDLE_MS = 20; child.main(*map(int, sys.argv[1:]))"
    program = f"import sys; from images.sandbox import child; {soon}"
    monkeypatch.setattr(sandbox, "COMMAND", (sys.executable, "-P", "-c", program))
    noise = np.random.default_rng(1).integers(0, 256, (500, 500, 3), np.uint8)
    decoder = Decoder()
    try:
        decoder(FILES["grey"]())
        before = virtual_bytes(decoder.pid, "RssAnon")
        for image_format in ("PNG", "WEBP"):
            decoder(saved(Image.fromarray(noise), image_format))
        most = before + (3 << 19)
        eventually_sync(lambda: virtual_bytes(decoder.pid, "RssAnon") < most, "memory returned")
        assert decoder(FILES["grey"]()).width == 61
        assert not decoder.ends
    finally:
        decoder.close()


def test_the_process_has_no_secrets_and_one_descriptor(
    monkeypatch: pytest.MonkeyPatch, decoder: Decoder
) -> None:
    monkeypatch.setenv("ANYSR_ADMIN_KEY", "a secret")
    decoder(FILES["grey"]())
    process = Path(f"/proc/{decoder.pid}")
    assert b"secret" not in (process / "environ").read_bytes()
    opened = {int(fd.name): os.readlink(fd) for fd in (process / "fd").iterdir()}
    beyond = [target for number, target in opened.items() if number > 2]
    assert len(beyond) == 1, opened
    assert beyond[0].startswith("socket:")
    assert opened[0] == opened[1] == os.devnull


def test_the_process_ends_with_its_worker() -> None:
    script = (
        "import time\n"
        "from images.sandbox.decoder import SandboxedDecoder\n"
        "d = SandboxedDecoder(1); d.start(); print(d.pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as worker:
        assert worker.stdout is not None
        pid = int(worker.stdout.readline())
        worker.kill()
    eventually_sync(lambda: not Path(f"/proc/{pid}").exists(), "the decoder ends")


FACTS: dict[str, object] = {
    "shape": [5, 5, 3],
    "bits": 8,
    "kind": "colour",
    "icc": None,
    "metadata": 0,
}
ANSWERS: dict[str, dict[str, object]] = {
    "more samples than accepted": {"shape": [4000, 4000, 4], "bits": 16},
    "a negative size": {"shape": [-5, 5, 3]},
    "five channels": {"shape": [5, 5, 5]},
    "much metadata": {"icc": 99999999999},
    "less than no metadata": {"icc": 9, "metadata": -9},
    "no metadata": {"metadata": 0},
    "metadata of another form": {"metadata": 4},
    "an unknown kind": {"kind": "odd"},
    "an unknown depth": {"bits": 9},
}
MESSAGES = {
    **{name: json.dumps(FACTS | changed) for name, changed in ANSWERS.items()},
    "a list": "[1, 2]",
    "no message": "nonsense",
    "not text": "\\xff",
}
LIAR = """
import socket, sys
s = socket.socket(fileno=int(sys.argv[1]))
s.send(b'{"ready": true, "seccomp": true}')
s.recv(65536)
s.send(ANSWER)
s.recv(65536)
s.send(b'{"written": true}')
s.recv(65536)
"""


@pytest.mark.parametrize("answer", MESSAGES.values(), ids=MESSAGES)
def test_a_process_that_was_taken_over_can_only_lose_its_picture(
    monkeypatch: pytest.MonkeyPatch, decoder: Decoder, answer: str
) -> None:
    code = LIAR.replace("ANSWER", f"b'{answer}'")
    monkeypatch.setattr(sandbox, "COMMAND", (sys.executable, "-c", code))
    with pytest.raises(CorruptImage):
        decoder(FILES["grey"]())
    assert decoder.ends == [End.CRASH]


def test_a_picture_has_the_time_that_its_job_has_left() -> None:
    assert decoding_seconds(5.0, float("inf"), 2.0) == 5.0
    assert decoding_seconds(5.0, 1.0, 2.0) == 3.0
    assert decoding_seconds(5.0, -9.0, 2.0) == 2.0
    for slack in range(-5, 10):
        assert 2.0 <= decoding_seconds(5.0, slack, 2.0) <= 5.0
