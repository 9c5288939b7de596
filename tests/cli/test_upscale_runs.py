"""`anysr upscale` as a process: a mixed folder, an interruption, other encodings, streams."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from images.encode import encode
from images.picture import Picture, Raster
from jobs.formats import ImageFormat
from tests.support.waiting import eventually_sync

MODEL = ("--model", "anysr-xs", "--scale", "2")
NAMES = (
    *("plain.png", "two  spaces.jpg", "a [draft].webp", "[bold]b[/bold].png", "c [/red].avif"),
    *("ünï.jxl", ":smile:.png", "-dash.png", "100%.jpg", "new\nline.png", "escape\x1b[31m.png"),
    *("quote'\".png", "back\\slash.png", "jpeg named.png", "upper.PNG", "jfif.jfif", "bare"),
    *("sub/plain.png", "sub [1]/deeper/x.jpeg", "tab\t.png", "~.png", "{a,b}.png"),
)
FORMATS = {".jpg": ImageFormat.JPEG, ".jpeg": ImageFormat.JPEG, ".jfif": ImageFormat.JPEG}
UNDECODABLE = (b"\xff\xfe.png", b"caf\xe9.png")
BROKEN = ("cut.png", "wrong.jpg", "empty.webp")
OTHERS = ("notes.txt", "sub/list.csv", "._plain.png")


def format_of_name(name: str) -> ImageFormat:
    if name == "jpeg named.png":
        return ImageFormat.JPEG
    suffix = Path(name).suffix.lower()
    return FORMATS.get(suffix) or ImageFormat(suffix[1:] or "png")


def put(folder: Path, name: str | bytes, content: bytes) -> None:
    path = Path(os.fsdecode(os.path.join(os.fsencode(folder), os.fsencode(name))))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def drawn(image_format: ImageFormat, seed: int, side: int = 20) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    return bytes(encode(Picture(Raster(pixels)), image_format))


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """A folder of thirty files: pictures of all formats under odd names, broken ones, and
    others."""
    folder = tmp_path / "in"
    for seed, name in enumerate(NAMES):
        put(folder, name, drawn(format_of_name(name), seed))
    for seed, raw in enumerate(UNDECODABLE):
        put(folder, raw, drawn(ImageFormat.PNG, 100 + seed))
    put(folder, "cut.png", drawn(ImageFormat.PNG, 7)[:300])
    put(folder, "wrong.jpg", b"\xff\xd8\xff nonsense")
    put(folder, "empty.webp", b"")
    for name in OTHERS:
        put(folder, name, b"no picture")
    return folder


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-P", "-m", "cli.main", "upscale", *map(str, arguments)]


def started(*arguments: object) -> subprocess.Popen[bytes]:
    """Start a run that heeds signals, also where the tests' own process ignores them (nohup)."""

    def heed() -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)

    piped = subprocess.PIPE
    return subprocess.Popen(command(*arguments), stdout=piped, stderr=piped, preexec_fn=heed)


def run(
    *arguments: object, stdin: bytes = b"", **environment: str
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        command(*arguments),
        input=stdin,
        capture_output=True,
        env={**os.environ, **environment},
        check=False,
    )


def state(folder: Path) -> Mapping[bytes, tuple[int, int, bytes]]:
    """Return number, time and content of every file below a folder, by its name."""
    below = os.fsencode(folder)
    paths = [os.path.join(at, name) for at, _, names in os.walk(below) for name in names]
    found = {}
    for path in paths:
        status = os.stat(path)
        content = Path(os.fsdecode(path)).read_bytes()
        found[os.path.relpath(path, below)] = (status.st_ino, status.st_mtime_ns, content)
    return found


def visible(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and path.name[0] != "."]


def test_a_mixed_folder_is_made_interrupted_and_resumed(mixed: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    originals = state(mixed)
    assert len(originals) == 30

    process = started(mixed, "-o", out, *MODEL)
    eventually_sync(lambda: len(visible(out)) >= 5, "five results")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 130, errors
    first = state(out)
    assert f"Interrupted: {len(first)} made, 0 skipped".encode() in errors
    assert not [name for name in first if os.path.basename(name).startswith(b".")]

    refused = run(mixed, "-o", out, *MODEL)
    assert (refused.returncode, state(out)) == (2, first)
    assert b"--skip-existing" in refused.stderr

    resumed = run(mixed, "-o", out, *MODEL, "--skip-existing")
    assert resumed.returncode == 1, resumed.stderr  # of the broken ones
    made = len(NAMES) + len(UNDECODABLE)
    counts = f"{made - len(first)} made, {len(first)} skipped, 3 failed"
    assert resumed.stdout.decode().splitlines()[-1] == counts
    second = state(out)
    assert len(second) == made
    assert {name: second[name] for name in first} == first  # nothing was made twice

    again = run(mixed, "-o", out, *MODEL, "--skip-existing")
    assert again.stdout.decode() == f"0 made, {made} skipped, 3 failed\n"
    assert state(out) == second
    assert state(mixed) == originals
    _assert_right(out)
    for name in (*BROKEN, *OTHERS):
        assert name.encode() in resumed.stderr


def _assert_right(out: Path) -> None:
    """Assert that every result is whole, twice as large, and of its input's format."""
    for name in NAMES:
        with_suffix = {"jpeg named.png": "jpeg named.jpg", "jfif.jfif": "jfif.jpg"}
        path = out / with_suffix.get(name, "bare.png" if name == "bare" else name)
        assert path.is_file(), name
        if path.suffix == ".jxl":
            continue  # which Pillow does not read
        with Image.open(path) as image:
            image.load()
            assert image.size == (40, 40)
            assert image.format == format_of_name(name).name
    for raw in UNDECODABLE:
        assert os.path.isfile(os.path.join(os.fsencode(out), raw))


@pytest.mark.parametrize("encoding", ["ascii:strict", "utf-8:strict", "latin-1:strict"])
def test_every_terminal_gets_every_name(tmp_path: Path, encoding: str) -> None:
    for raw in (b"caf\xe9.png", "ünï [/red].png".encode(), b"\x1b[31m.png"):
        put(tmp_path / "in", raw, drawn(ImageFormat.PNG, 1))
    made = run(
        *(tmp_path / "in", "-o", tmp_path / "out", *MODEL),
        PYTHONIOENCODING=encoding,
        LC_ALL="C",
    )
    assert made.returncode == 0, made.stderr
    assert made.stdout.endswith(b"3 made, 0 skipped, 0 failed\n")
    assert b"in/caf\\xe9.png -> " in made.stdout
    assert b"in/\\x1b[31m.png -> " in made.stdout
    assert b" [/red].png -> " in made.stdout
    assert len(visible(tmp_path / "out")) == 3


def test_streams_carry_a_picture_and_nothing_else(tmp_path: Path) -> None:
    picture = drawn(ImageFormat.PNG, 1)
    through = run("-", "-o", "-", *MODEL, "--format", "webp", stdin=picture)
    assert through.returncode == 0, through.stderr
    with Image.open(io.BytesIO(through.stdout)) as image:
        assert (image.format, image.size) == ("WEBP", (40, 40))
    assert b"1 made, 0 skipped, 0 failed" in through.stderr

    to_file = run("-", "-o", tmp_path / "a.png", *MODEL, stdin=picture)
    assert to_file.returncode == 0, to_file.stderr
    nothing = run("-", "-o", "-", *MODEL)
    assert (nothing.returncode, nothing.stdout) == (1, b"")
    assert b"Traceback" not in nothing.stderr


def test_a_file_may_have_the_name_of_the_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    put(tmp_path, "-", drawn(ImageFormat.PNG, 1))
    made = run("./-", "-o", "made.png", *MODEL)
    assert made.returncode == 0, made.stderr
    with Image.open(tmp_path / "made.png") as image:
        assert image.size == (40, 40)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_other_signals_end_a_run_as_well(tmp_path: Path, number: int) -> None:
    out = tmp_path / "out"
    put(tmp_path, "small.png", drawn(ImageFormat.PNG, 1))
    put(tmp_path, "takes seconds.png", drawn(ImageFormat.PNG, 1, side=1500))
    inputs = tmp_path / "small.png", tmp_path / "takes seconds.png"
    process = started(*inputs, "-o", out, "--scale", "2")
    eventually_sync(lambda: len(visible(out)) == 1, "the first result")
    process.send_signal(number)
    _, errors = process.communicate()
    assert process.returncode == 128 + number, errors
    assert [path.name for path in out.iterdir()] == ["small.png"]
