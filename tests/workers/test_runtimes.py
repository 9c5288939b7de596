"""The runtimes: equal results, unknown widths, damaged files, missing packages."""

from __future__ import annotations

import os
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

from images.picture import FloatArray
from models.catalog import SHIPPED, CatalogError, ModelEntry, describe, read_catalog
from models.export import write_torchscript
from models.geometry import axis_grid
from models.network_file import load_network
from tests.support.waiting import eventually_sync
from tests.workers.workbench import default_entry
from workers.runtimes.base import Interrupted, Interruptible, RuntimeMissing, Session
from workers.runtimes.onnx import CUDA_PROVIDERS, OnnxSession
from workers.runtimes.torchscript import TorchScriptSession

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")

TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def onnx() -> OnnxSession:
    return OnnxSession(SHIPPED, default_entry(), threads=1)


@pytest.fixture(scope="module")
def scripted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ModelEntry]:
    """A folder with the shipped weights as TorchScript, and its entry."""
    folder = tmp_path_factory.mktemp("scripted")
    _, network = load_network(SHIPPED / default_entry().weights.file)
    path = folder / "model.torchscript"
    write_torchscript(network, path)
    return folder, default_entry().model_copy(update={"torchscript": describe(path)})


def run(session: Session, image: FloatArray, size: tuple[int, int], width: float) -> FloatArray:
    rows = axis_grid(image.shape[2], size[0])
    columns = axis_grid(image.shape[3], size[1])
    return session.at(width).run(image, rows, columns)


def noise(*shape: int) -> FloatArray:
    return np.random.default_rng(0).random(shape, dtype=np.float32)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 20), st.integers(1, 20), st.integers(0, 40), st.integers(0, 40))
def test_any_size_and_scale_runs(h: int, w: int, more_h: int, more_w: int) -> None:
    session = OnnxSession(SHIPPED, default_entry(), threads=1)
    made = run(session, noise(1, 3, h, w), (h + more_h, w + more_w), 0.25)
    assert made.shape == (1, 3, h + more_h, w + more_w)
    assert np.isfinite(made).all()


def test_a_session_runs_after_a_release(onnx: OnnxSession) -> None:
    image = noise(1, 3, 70, 60)
    expected = run(onnx, image, (140, 120), 0.25)
    onnx.release()
    onnx.release()
    assert (run(onnx, image, (140, 120), 0.25) == expected).all()


def test_a_run_is_interrupted_and_the_next_one_is_whole(onnx: OnnxSession) -> None:
    assert_interruptible(onnx, side=160)


def assert_interruptible(session: Session, side: int) -> None:
    """Check that a run at x2 of a square picture is ended early, and that the next one is whole."""
    image, size = noise(1, 3, side, side), (2 * side, 2 * side)
    network = session.at(1.0)
    assert isinstance(network, Interruptible)
    network.interrupt()  # has no effect: nothing runs
    expected = run(session, image, size, 1.0)
    caught: list[Exception] = []

    def interrupted() -> None:
        while not caught:  # a run may end just before it is interrupted
            try:
                run(session, image, size, 1.0)
            except Interrupted as error:
                caught.append(error)

    def ended() -> bool:
        network.interrupt()
        return not thread.is_alive()

    thread = threading.Thread(target=interrupted, daemon=True)
    thread.start()
    eventually_sync(ended, "an interrupted run")
    assert np.array_equal(run(session, image, size, 1.0), expected)


@pytest.mark.parametrize("width", [entry.width for entry in default_entry().widths])
def test_torchscript_equals_onnx(
    onnx: OnnxSession, scripted: tuple[Path, ModelEntry], width: float
) -> None:
    torchscript = TorchScriptSession(*scripted, threads=1)
    image = noise(2, 3, 21, 34)
    expected = run(onnx, image, (50, 81), width)
    actual = run(torchscript, image, (50, 81), width)
    assert actual.shape == (2, 3, 50, 81)
    assert np.abs(actual - expected).max() < TOLERANCE


def test_widths_differ(onnx: OnnxSession) -> None:
    image = noise(1, 3, 16, 16)
    narrow, wide = (run(onnx, image, (32, 32), width) for width in (0.25, 1.0))
    assert np.abs(narrow - wide).max() > TOLERANCE


def test_an_unknown_width_is_a_key_error(
    onnx: OnnxSession, scripted: tuple[Path, ModelEntry]
) -> None:
    for session in (onnx, TorchScriptSession(*scripted)):
        with pytest.raises(KeyError):
            run(session, noise(1, 3, 8, 8), (16, 16), 0.33)


def test_a_damaged_graph_is_not_loaded(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(SHIPPED, tmp_path / "models"))
    entry = default_entry()
    graph = folder / entry.widths[0].onnx.file
    graph.write_bytes(graph.read_bytes()[:-1] + b"\0")
    session = OnnxSession(folder, entry)
    with pytest.raises(CatalogError, match="checksum"):
        run(session, noise(1, 3, 8, 8), (16, 16), entry.widths[0].width)


def test_damaged_weights_are_not_loaded(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(SHIPPED, tmp_path / "models"))
    weights = folder / default_entry().weights.file
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(CatalogError, match="checksum"):
        OnnxSession(folder, default_entry())


def test_a_damaged_script_is_not_loaded(scripted: tuple[Path, ModelEntry], tmp_path: Path) -> None:
    folder, entry = scripted
    assert entry.torchscript is not None
    damaged = (folder / entry.torchscript.file).read_bytes()[:-1]
    (tmp_path / entry.torchscript.file).write_bytes(damaged)
    with pytest.raises(CatalogError, match="checksum"):
        TorchScriptSession(tmp_path, entry)


def test_a_model_without_a_script_is_refused() -> None:
    entry = default_entry().model_copy(update={"torchscript": None})
    with pytest.raises(CatalogError, match="use the onnx runtime"):
        TorchScriptSession(SHIPPED, entry)


def test_a_missing_torch_names_the_remedy(
    scripted: tuple[Path, ModelEntry], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(RuntimeMissing, match="ANYSR_RUNTIME=onnx"):
        TorchScriptSession(*scripted)


@pytest.mark.skipif(
    "CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="CUDA can be used here"
)
def test_a_missing_device_is_an_error_and_no_fallback() -> None:
    entry = read_catalog(SHIPPED).models[0]
    session = OnnxSession(SHIPPED, entry, threads=1, providers=CUDA_PROVIDERS)
    grid = axis_grid(8, 16)
    with pytest.raises(RuntimeMissing, match="ANYSR_DEVICE=cuda needs"):
        session.at(entry.widths[0].width).run(np.zeros((1, 3, 8, 8), np.float32), grid, grid)


QUIET = """
import numpy as np
from models.catalog import SHIPPED, read_catalog
from models.geometry import axis_grid
from workers.runtimes.onnx import OnnxSession
session = OnnxSession(SHIPPED, read_catalog().get("anysr-s"), 1)
grid = axis_grid(16, 32)
session.at(0.25).run(np.zeros((1, 3, 16, 16), np.float32), grid, grid)
"""


def test_no_telemetry_is_sent(tmp_path: Path) -> None:
    """ONNX Runtime would first write its telemetry to a database in the user's cache."""
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    surroundings = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"} | home
    done = subprocess.run(
        [sys.executable, "-c", QUIET], capture_output=True, text=True, timeout=120, env=surroundings
    )
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.rglob("*"))
