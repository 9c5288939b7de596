"""OpenVINO computes what ONNX Runtime and the int8 graphs define, and sends no telemetry."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data

from images.picture import FloatArray
from models.catalog import COEFFICIENTS, SHIPPED, CatalogError, ModelEntry, Precision, read_catalog
from models.geometry import axis_grid
from scheduling.tiling import tiling_of
from tests.workers.test_runtimes import TOLERANCE, assert_interruptible, noise, run
from tests.workers.workbench import default_entry, in_tiles, picture_of, whole
from workers.loaded_model import LoadedModel
from workers.runtimes import head, openvino
from workers.runtimes.arenas import ARENAS, ArenaLimit
from workers.runtimes.base import Interrupted, RuntimeMissing, inputs_of
from workers.runtimes.onnx import OnnxSession
from workers.runtimes.openvino import ARENA_BYTES, OpenVinoSession
from workers.upscale import upscale

ENTRY = default_entry()


def crop(height: int, width: int) -> FloatArray:
    """A part of a photograph, [3, height, width]."""
    pixels = data.astronaut()[10 : 10 + height, 140 : 140 + width]
    return np.ascontiguousarray(np.moveaxis(pixels, 2, 0).astype(np.float32) / 255)


@pytest.fixture(scope="module")
def onnx() -> OnnxSession:
    return OnnxSession(SHIPPED, ENTRY, threads=1)


@pytest.fixture(scope="module")
def exact() -> OpenVinoSession:
    return OpenVinoSession(SHIPPED, ENTRY, threads=1)


@pytest.fixture(scope="module")
def int8() -> OpenVinoSession:
    return OpenVinoSession(SHIPPED, ENTRY, Precision.INT8, threads=1)


@settings(max_examples=15, deadline=None)
@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    more=st.tuples(st.integers(0, 60), st.integers(0, 60)),
    width=st.sampled_from([entry.width for entry in ENTRY.widths]),
)
def test_float32_equals_onnx_runtime(
    onnx: OnnxSession,
    exact: OpenVinoSession,
    size: tuple[int, int],
    more: tuple[int, int],
    width: float,
) -> None:
    image = noise(2, 3, *size)
    output = size[0] + more[0], size[1] + more[1]
    made, expected = (run(session, image, output, width) for session in (exact, onnx))
    assert made.shape == expected.shape
    assert np.abs(made - expected).max() < TOLERANCE


IN_PARTS = [entry for entry in read_catalog().models if entry.head is not None]


@pytest.mark.parametrize("entry", IN_PARTS, ids=lambda entry: entry.name)
def test_int8_equals_the_quantised_graph(entry: ModelEntry) -> None:
    """ONNX Runtime in float32 computes the same levels, except for rounding by one."""
    assert entry.head is not None
    session = OpenVinoSession(SHIPPED, entry, Precision.INT8, threads=2)
    plain = OnnxSession(SHIPPED, entry, threads=2)
    head = onnxruntime.InferenceSession(SHIPPED / entry.head.file)
    image = crop(40, 56)[None]
    for width in entry.widths:
        made = run(session, image, (80, 112), width.width)
        assert width.int8 is not None
        expected = _in_levels(entry, width.int8.onnx.file, head, image)
        error = np.square(made - expected).mean()
        lost = np.square(made - run(plain, image, (80, 112), width.width)).mean()
        assert 0 < error < lost


def _in_levels(
    entry: ModelEntry, trunk: str, head: onnxruntime.InferenceSession, image: FloatArray
) -> FloatArray:
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    session = onnxruntime.InferenceSession(SHIPPED / trunk, options)
    grids = axis_grid(image.shape[2], 2 * image.shape[2]), axis_grid(image.shape[3], 112)
    feed = inputs_of(entry, image, *grids, 0.0)
    given = {name: feed[name] for name in ("image", "condition")}
    feed[COEFFICIENTS] = session.run(None, given)[0]
    made: FloatArray = head.run(None, feed)[0]
    return made


@pytest.mark.parametrize("scale", [1.37, 2.0, 3.6])
def test_tiles_in_int8_leave_no_seam(int8: OpenVinoSession, scale: float) -> None:
    picture = picture_of(crop(64, 90))
    target = round(picture.height * scale), round(picture.width * scale)
    engine = LoadedModel(ENTRY, int8, tiling_of(ENTRY)).at(1.0)
    whole_one = upscale(picture, *target, engine, lambda part: None)
    tiled = upscale(picture, *target, in_tiles(engine, pixels=1200), lambda part: None)
    assert (whole_one.tiles, tiled.tiles > 1) == (1, True)
    assert np.abs(tiled.picture.pixels.colour - whole_one.picture.pixels.colour).max() <= 1 / 255


@settings(max_examples=25, deadline=None)
@given(
    size=st.tuples(st.integers(2, 40), st.integers(1, 40)),
    scale=st.floats(1, 6),
    window=st.tuples(st.integers(0, 5), st.integers(0, 5)),
    pixels=st.integers(1, 400),
)
def test_bands_of_the_head_equal_the_whole(
    exact: OpenVinoSession,
    size: tuple[int, int],
    scale: float,
    window: tuple[int, int],
    pixels: int,
) -> None:
    """Also for a window whose outermost rows make no output, like a halo."""
    image = noise(1, 3, *size)
    height, across = (round(side * scale) for side in size)
    made = min(window[0], height - 1), max(min(window[0], height - 1) + 1, height - window[1])
    grids = axis_grid(size[0], height, (0, size[0]), made), axis_grid(size[1], across)
    expected = exact.at(0.25).run(image, *grids)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(head, "BAND_PIXELS", pixels)
        assert np.abs(exact.at(0.25).run(image, *grids) - expected).max() < 1e-5


@pytest.mark.parametrize("level", [0, 1, 77, 128, 250, 255])
def test_flat_colours_keep_their_value_in_int8(int8: OpenVinoSession, level: int) -> None:
    planes = np.stack([np.full((14, 17), n / 255, np.float32) for n in (level, 128, 255 - level)])
    for width in ENTRY.widths:
        engine = LoadedModel(ENTRY, int8, tiling_of(ENTRY)).at(width.width)
        made = upscale(picture_of(planes), 26, 31, engine, lambda part: None).picture.pixels.colour
        assert np.abs(255 * made - 255 * planes[:, :1, :1]).max() < 2


def test_a_session_runs_after_a_release(int8: OpenVinoSession) -> None:
    image = noise(1, 3, 70, 60)
    expected = run(int8, image, (140, 120), 0.25)
    int8.release()
    assert (run(int8, image, (140, 120), 0.25) == expected).all()


def test_a_run_is_interrupted_and_the_next_one_is_whole(int8: OpenVinoSession) -> None:
    assert_interruptible(int8, side=200)


def test_interrupted_runs_do_not_disturb_those_of_sizes_seen_before(int8: OpenVinoSession) -> None:
    images = [noise(1, 3, *size) for size in ((40, 50), (64, 64), (100, 80))]
    sizes = [(2 * image.shape[2], 2 * image.shape[3]) for image in images]
    expected = [run(int8, image, size, 1.0) for image, size in zip(images, sizes, strict=True)]
    random, interrupted = np.random.default_rng(0), 0
    network = int8.at(1.0)
    for _ in range(80):
        first, second = random.integers(3, size=2)
        timer = threading.Timer(random.uniform(0, 0.03), network.interrupt)
        timer.start()
        try:
            run(int8, images[first], sizes[first], 1.0)
        except Interrupted:
            interrupted += 1
            assert network._loaded is not None
            made = np.prod(network._loaded[1].get_output_tensor(0).shape[2:])
            assert made <= 2, "the run that resets it is of the smallest size"
        timer.join()
        if random.random() < 0.5:  # else two in a row are cancelled, or one after a release
            assert np.array_equal(run(int8, images[second], sizes[second], 1.0), expected[second])
        elif random.random() < 0.3:
            int8.release()
    assert interrupted > 10


def test_a_release_empties_the_arenas(int8: OpenVinoSession) -> None:
    images = [noise(1, 3, *size) for size in ((40, 50), (120, 90))]
    sizes = [(2 * image.shape[2], 2 * image.shape[3]) for image in images]
    for width in (0.25, 1.0):
        expected = [
            run(int8, image, size, width) for image, size in zip(images, sizes, strict=True)
        ]
        assert ARENAS.size >= ARENA_BYTES * ENTRY.at(width).channels * images[1][:, 0].size
        int8.release()
        assert not any(int8.at(w.width).kept_bytes for w in ENTRY.widths)
        again = [run(int8, image, size, width) for image, size in zip(images, sizes, strict=True)]
        assert all(np.array_equal(*pair) for pair in zip(expected, again, strict=True))


def test_the_sum_of_arenas_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    session = OpenVinoSession(SHIPPED, ENTRY, Precision.INT8, threads=1)
    image = noise(1, 3, 64, 64)
    narrow, wide = (ARENA_BYTES * w.channels * 64 * 64 for w in (ENTRY.widths[0], ENTRY.widths[-1]))
    monkeypatch.setattr(openvino, "ARENAS", ArenaLimit(narrow + wide))
    expected = {w.width: run(session, image, (100, 128), w.width) for w in ENTRY.widths}
    kept = [session.at(w.width).kept_bytes for w in ENTRY.widths]
    assert kept[-1] == wide
    assert sum(kept) <= narrow + wide
    for w in ENTRY.widths:
        assert np.array_equal(run(session, image, (100, 128), w.width), expected[w.width])


def test_an_unknown_width_is_a_key_error(exact: OpenVinoSession) -> None:
    with pytest.raises(KeyError):
        run(exact, noise(1, 3, 8, 8), (16, 16), 0.33)


@pytest.mark.parametrize("part", ["trunk", "head", "weights"])
def test_a_damaged_part_is_not_loaded(tmp_path: Path, part: str) -> None:
    folder = Path(shutil.copytree(SHIPPED, tmp_path / "models"))
    first = ENTRY.widths[0]
    artifact = {"trunk": first.trunk, "head": ENTRY.head, "weights": ENTRY.weights}[part]
    assert artifact is not None
    path = folder / artifact.file
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(CatalogError, match="checksum"):
        run(OpenVinoSession(folder, ENTRY), noise(1, 3, 8, 8), (16, 16), first.width)


def test_a_model_without_parts_is_refused() -> None:
    with pytest.raises(CatalogError, match="use the onnx runtime"):
        OpenVinoSession(SHIPPED, whole(ENTRY))


def test_a_missing_openvino_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    openvino._core.cache_clear()
    monkeypatch.setitem(sys.modules, "openvino", None)
    try:
        with pytest.raises(RuntimeMissing, match="ANYSR_RUNTIME=onnx"):
            OpenVinoSession(SHIPPED, ENTRY)
    finally:
        openvino._core.cache_clear()


def test_int8_is_not_chosen_where_it_is_known_to_crash(tmp_path: Path) -> None:
    described = tmp_path / "cpuinfo"
    described.write_text("processor : 0\nflags : fpu avx512_vnni amx_bf16 amx_tile amx_int8\n")
    with pytest.raises(RuntimeMissing, match="crash"):
        openvino.require_safe(Precision.INT8, described)
    openvino.require_safe(Precision.BFLOAT16, described)
    described.write_text("processor : 0\nflags : fpu avx512_vnni\n")
    openvino.require_safe(Precision.INT8, described)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="AMX is of x86 processors")
def test_int8_is_not_chosen_on_unknown_processors(tmp_path: Path) -> None:
    with pytest.raises(RuntimeMissing, match="crash"):
        openvino.require_safe(Precision.INT8, tmp_path / "no cpuinfo here")


def test_an_unwritable_cache_folder_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    for cache in (tmp_path / "file" / "openvino", tmp_path / "new" / "openvino"):
        session = OpenVinoSession(SHIPPED, ENTRY, Precision.INT8, 1, cache=cache)
        assert run(session, noise(1, 3, 8, 8), (16, 16), 0.25).shape == (1, 3, 16, 16)
    assert list((tmp_path / "new" / "openvino").glob("*.blob"))


QUIET = """
import sys
reached = []
sys.addaudithook(lambda event, given: event.startswith(("socket.connect", "socket.getaddrinfo"))
                 and reached.append(given))
import numpy as np
from models.catalog import SHIPPED, Precision, read_catalog
from models.geometry import axis_grid
from workers.runtimes.openvino import OpenVinoSession
entry = read_catalog().get("anysr-s")
session = OpenVinoSession(SHIPPED, entry, Precision.INT8, 1)
grid = axis_grid(16, 32)
session.at(0.25).run(np.zeros((1, 3, 16, 16), np.float32), grid, grid)
assert sys.modules["openvino_telemetry"] is None
assert not [name for name in sys.modules if name.startswith("openvino_telemetry.")]
assert not reached, reached
"""


def test_no_telemetry_is_sent() -> None:
    done = subprocess.run(
        [sys.executable, "-c", QUIET], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
