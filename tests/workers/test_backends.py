"""The choice of a backend: the fastest correct one, reasons against others, and its cache."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from models.catalog import SHIPPED, ModelEntry, Precision
from models.geometry import AxisGrid
from tests.workers.workbench import default_entry, whole
from workers import backends
from workers.backends import (
    OPENVINO_FLOAT32,
    REFERENCE,
    Backend,
    Disagreement,
    check_against_float32,
    check_picture,
    choose,
    choose_cached,
    fastest,
)
from workers.runtimes import openvino
from workers.runtimes.base import FloatArray, RuntimeMissing
from workers.runtimes.onnx import OnnxSession
from workers.settings import Device, Runtime, WorkerSettings

ENTRY = default_entry()
SETTINGS = WorkerSettings(worker_threads=1)
INT8 = Backend(Runtime.OPENVINO, Precision.INT8)


class Off:
    """A session that changes ONNX Runtime's picture."""

    def __init__(self, change: Callable[[FloatArray], FloatArray]) -> None:
        self._plain = OnnxSession(SHIPPED, ENTRY, threads=1)
        self._change = change

    def at(self, width: float) -> Off:
        self._network = self._plain.at(width)
        return self

    def run(
        self, image: FloatArray, rows: AxisGrid, columns: AxisGrid, strength: float = 0.0
    ) -> FloatArray:
        return self._change(self._network.run(image, rows, columns, strength).copy())


def one_wrong_pixel(made: FloatArray) -> FloatArray:
    made[0, 1, 20, 30] = 1 - np.round(made[0, 1, 20, 30])
    return made


def no_number(made: FloatArray) -> FloatArray:
    made[0, 0, 0, 0] = np.nan
    return made


WRONG: list[tuple[Precision, Callable[[FloatArray], FloatArray]]] = [
    (Precision.FLOAT32, lambda made: made + np.float32(1 / 255)),
    (Precision.BFLOAT16, lambda made: made + np.float32(2 / 255)),
    (Precision.INT8, lambda made: made * np.float32(0.97)),
    (Precision.INT8, one_wrong_pixel),
    (Precision.INT8, no_number),
    (Precision.BFLOAT16, one_wrong_pixel),
]


@pytest.mark.parametrize(("precision", "change"), WRONG)
def test_a_wrong_picture_raises_disagreement(
    precision: Precision, change: Callable[[FloatArray], FloatArray]
) -> None:
    plain = Off(lambda made: made)
    check_against_float32(ENTRY, plain, plain, precision)
    with pytest.raises(Disagreement):
        check_against_float32(ENTRY, Off(change), plain, precision)


def test_the_check_picture_has_edges_gradients_and_grain() -> None:
    picture = check_picture(48, 64)
    assert picture.shape == (1, 3, 48, 64)
    assert 0 <= picture.min() < 0.1
    assert 0.9 < picture.max() <= 1
    steps = np.abs(np.diff(picture, axis=3))
    assert (steps > 0.3).any()
    assert np.median(steps) < 0.05


def test_the_fastest_backend_is_chosen() -> None:
    now = [0.0]

    class Taking(Off):
        def __init__(self, seconds: float) -> None:
            super().__init__(lambda made: made)
            self.seconds = seconds

        def run(self, *_: object, **__: object) -> FloatArray:
            now[0] += self.seconds
            return np.zeros((1, 3, 1, 1), np.float32)

    def chosen(**seconds: float) -> Backend | None:
        backends = {"plain": REFERENCE, "int8": INT8, "exact": OPENVINO_FLOAT32}
        sessions = {backends[name]: Taking(taken) for name, taken in seconds.items()}
        return fastest(ENTRY, sessions, lambda: now[0])

    assert chosen(plain=3.0, int8=1.0, exact=2.0) == INT8
    assert chosen(plain=3.0, exact=2.0) == OPENVINO_FLOAT32
    assert chosen(plain=1.0, exact=2.0) == REFERENCE
    assert chosen(plain=3.0, int8=1.7, exact=2.0) == OPENVINO_FLOAT32  # not worth what it loses
    assert chosen(plain=3.0) == REFERENCE
    assert chosen() is None


def test_a_wrong_backend_is_refused_with_a_reason_and_the_next_best_runs(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(
        openvino, "OpenVinoSession", lambda *given: Off(lambda made: made * np.float32(0.9))
    )
    chosen = choose(SHIPPED, ENTRY, SETTINGS)
    assert chosen.backend == REFERENCE
    assert isinstance(chosen.session, OnnxSession)
    assert {str(INT8), str(OPENVINO_FLOAT32)} <= set(chosen.refused)
    assert all("dB from float32's" in reason for reason in chosen.refused.values())
    assert "does not run in openvino int8" in caplog.text


def test_a_backend_that_fails_to_load_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> object:
        raise RuntimeError("no primitive for this processor")

    monkeypatch.setattr(openvino, "OpenVinoSession", broken)
    chosen = choose(SHIPPED, ENTRY, SETTINGS)
    assert chosen.backend == REFERENCE
    assert chosen.refused[str(INT8)] == "no primitive for this processor"


def test_without_openvino_onnx_runtime_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: Precision) -> None:
        raise RuntimeMissing("not installed")

    monkeypatch.setattr(openvino, "require", missing)
    chosen = choose(SHIPPED, ENTRY, SETTINGS)
    assert (chosen.backend, dict(chosen.refused)) == (REFERENCE, {})
    named = WorkerSettings(worker_threads=1, runtime=Runtime.OPENVINO)
    with pytest.raises(RuntimeMissing, match="not installed"):
        choose(SHIPPED, ENTRY, named)
    with pytest.raises(RuntimeMissing, match="not installed"):
        choose(SHIPPED, ENTRY, WorkerSettings(worker_threads=1, precision="int8"))


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ({"runtime": "onnx"}, REFERENCE),
        ({"runtime": "openvino", "precision": "float32"}, OPENVINO_FLOAT32),
        ({"runtime": "openvino", "precision": "int8"}, INT8),
        ({"precision": "int8"}, INT8),
    ],
)
def test_the_settings_override_the_choice(named: dict[str, str], expected: Backend) -> None:
    settings = WorkerSettings.model_validate({"worker_threads": 1, **named})
    assert choose(SHIPPED, ENTRY, settings).backend == expected


@pytest.mark.parametrize("entry", [whole(ENTRY)])
def test_a_model_in_one_piece_runs_in_onnx_runtime(entry: ModelEntry) -> None:
    for runtime in (Runtime.AUTO, Runtime.OPENVINO):
        settings = WorkerSettings(worker_threads=1, runtime=runtime)
        assert choose(SHIPPED, entry, settings).backend == REFERENCE


@pytest.mark.parametrize(
    "named",
    [
        {"runtime": "onnx", "precision": "int8"},
        {"runtime": "torchscript", "precision": "bfloat16"},
        {"device": Device.CUDA, "precision": "int8"},
        {"precision": "float16"},
    ],
)
def test_a_precision_that_the_runtime_lacks_is_invalid(named: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        WorkerSettings.model_validate(named)


def test_a_cached_choice_is_checked_but_not_timed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = choose_cached(SHIPPED, ENTRY, SETTINGS, tmp_path)
    assert first.timed
    [file] = tmp_path.glob("backend-*.json")
    assert json.loads(file.read_text())["backend"] == {
        "runtime": first.backend.runtime.value,
        "precision": first.backend.precision.value,
    }
    monkeypatch.setattr(backends, "fastest", lambda entry, sessions: next(iter(sessions), None))
    second = choose_cached(SHIPPED, ENTRY, SETTINGS, tmp_path)
    assert (second.backend, second.timed) == (first.backend, False)
    other = SETTINGS.model_copy(update={"worker_threads": 2})
    choose_cached(SHIPPED, ENTRY, other, tmp_path)
    assert len(list(tmp_path.glob("backend-*.json"))) == 2


@pytest.mark.parametrize("content", ["", "[]", '{"facts": {}, "backend": {"runtime": "magic"}}'])
def test_a_damaged_cache_file_is_rewritten(
    tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    choose_cached(SHIPPED, ENTRY, SETTINGS, tmp_path)
    [file] = tmp_path.glob("backend-*.json")
    file.write_text(content)
    with caplog.at_level(logging.WARNING):
        chosen = choose_cached(SHIPPED, ENTRY, SETTINGS, tmp_path)
    assert "cannot be used" in caplog.text
    assert chosen.timed
    # Timed again, another one may be the fastest.
    assert json.loads(file.read_text())["backend"]["precision"] == chosen.backend.precision


def test_a_cached_choice_that_has_become_wrong_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose_cached(SHIPPED, ENTRY, SETTINGS, tmp_path)
    monkeypatch.setattr(openvino, "OpenVinoSession", lambda *given: Off(no_number))
    chosen = choose_cached(SHIPPED, ENTRY, SETTINGS, tmp_path)
    assert chosen.backend == REFERENCE
    assert "NaN" in chosen.refused[str(INT8)]


def test_expected_quality_includes_the_loss_of_int8() -> None:
    assert ENTRY.in_precision(Precision.FLOAT32) is ENTRY
    lowered = ENTRY.in_precision(Precision.INT8)
    for width in ENTRY.widths:
        assert width.int8 is not None
        before, after = (entry.expected_db(width.width, 2.0) for entry in (ENTRY, lowered))
        assert before is not None
        assert after == pytest.approx(before - width.int8.loss_db, abs=0.006)
