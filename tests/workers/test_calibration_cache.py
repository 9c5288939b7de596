"""The cache of costs: one file per machine, models and settings; damaged files are replaced."""

from __future__ import annotations

import errno
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from models.catalog import ModelEntry, Precision
from scheduling.cost_line import Line
from scheduling.cost_model import CostModel
from scheduling.rungs import ladder
from scheduling.stages import encode_stage, stage_of
from scheduling.tiling import tiling_of
from tests.workers.workbench import Gated, default_entry, models_of
from workers import cache_files, calibration, calibration_cache, machine
from workers.backends import Backend
from workers.cache_files import cache_folder
from workers.calibration_cache import (
    added_lines,
    contention_name,
    costs_name,
    facts_of,
    machine_costs,
    needs_of,
    read_lines,
    remeasured_lines,
    save_contention,
    save_lines,
    stages_of,
)
from workers.disturbance import Needs
from workers.loaded_model import ModelsByName
from workers.settings import Device, Runtime, WorkerSettings

SETTINGS = WorkerSettings(worker_threads=1)
WIDTHS = len(default_entry().widths)


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measurements count as undisturbed and are short, however busy the machine is."""
    monkeypatch.setattr(Needs, "disturbance", lambda *_: None)
    monkeypatch.setattr(calibration, "ROUNDS", 1)
    monkeypatch.setattr(calibration, "FLOOR_SIZES", calibration.FLOOR_SIZES[:-1])


@pytest.fixture
def session() -> Gated:
    session = Gated()
    session.gate.set()
    return session


@pytest.fixture
def models(session: Gated) -> ModelsByName:
    return models_of(session)


@pytest.fixture
def kept(models: ModelsByName, tmp_path: Path) -> Path:
    """A cache file with a line per stage, as after a first start."""
    facts = facts_of(models, SETTINGS)
    lines = {stage: Line(n, 2.0, 3.0) for n, stage in enumerate(stages_of(models))}
    save_lines(tmp_path / costs_name(facts), facts, lines)
    return tmp_path / costs_name(facts)


def test_a_second_start_reads_the_cached_costs(
    models: ModelsByName, session: Gated, tmp_path: Path
) -> None:
    folder = tmp_path / "not" / "there"
    first = machine_costs(models, SETTINGS, folder)
    measured = session.tiles
    again = machine_costs(models, SETTINGS, folder)
    assert again == first
    assert set(first.lines) == set(stages_of(models))
    assert session.tiles - measured == WIDTHS < measured
    assert [path.suffix for path in folder.iterdir()] == [".json"]


@pytest.fixture
def noisy(quiet: None, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001  it comes after
    """A disturbance of the machine by others."""
    monkeypatch.setattr(Needs, "disturbance", lambda *_: "others took it")


@pytest.mark.usefixtures("noisy")
def test_disturbed_costs_are_used_but_not_cached(
    models: ModelsByName, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    costs = machine_costs(models, SETTINGS, tmp_path)
    assert costs.disturbed == set(costs.lines) == set(stages_of(models))
    assert list(tmp_path.iterdir()) == []
    assert "others took it" in caplog.text
    assert "not cached for the next start" in caplog.text


def test_a_gpu_needs_no_core_of_its_own() -> None:
    assert needs_of(SETTINGS).threads == 1
    assert needs_of(SETTINGS.model_copy(update={"device": Device.CUDA})).threads == 0
    assert needs_of(SETTINGS.model_copy(update={"worker_threads": 0})).threads == math.inf


def disturbed(lines: dict[str, Line], *stages: str) -> dict[str, Line]:
    """The same lines, some of them measured while others used the machine."""
    return {k: replace(line, disturbed=k in stages) for k, line in lines.items()}


def lines_to_order(models: ModelsByName) -> dict[str, Line]:
    return {stage: Line(n + 1, 2.0, 3.0) for n, stage in enumerate(stages_of(models))}


def test_disturbed_lines_are_remeasured_and_cached_with_the_rest(
    models: ModelsByName, tmp_path: Path
) -> None:
    known = disturbed(lines_to_order(models), "decode", encode_stage("png"))
    lines = remeasured_lines(models, known, SETTINGS, tmp_path, lambda call: call())
    assert lines.keys() == known.keys()
    assert {k for k, line in lines.items() if line is not known[k]} == {
        "decode",
        encode_stage("png"),
    }
    facts = facts_of(models, SETTINGS)
    assert read_lines(tmp_path / costs_name(facts), facts, set(stages_of(models))) == lines


@pytest.mark.usefixtures("noisy")
def test_lines_that_are_disturbed_again_are_not_cached(
    models: ModelsByName, tmp_path: Path
) -> None:
    known = disturbed(lines_to_order(models), "decode")
    lines = remeasured_lines(models, known, SETTINGS, tmp_path, lambda call: call())
    assert [stage for stage, line in lines.items() if line.disturbed] == ["decode"]
    assert list(tmp_path.iterdir()) == []


def test_lines_cached_by_another_worker_are_not_remeasured(
    models: ModelsByName, kept: Path
) -> None:
    known = disturbed(lines_to_order(models), "decode")

    def no_turn(_: Callable[[], float]) -> float:
        pytest.fail("it is known")

    lines = remeasured_lines(models, known, SETTINGS, kept.parent, no_turn)
    assert lines == read_lines(kept, facts_of(models, SETTINGS), set(stages_of(models)))


def test_a_new_model_is_cached_only_with_undisturbed_lines(
    models: ModelsByName, tmp_path: Path
) -> None:
    name = default_entry().name
    known = lines_to_order(models)
    of_others = {k: line for k, line in known.items() if not k.startswith("network:")}
    for some in (disturbed(of_others, "decode"), of_others):
        assert list(tmp_path.iterdir()) == []
        added_lines(models, {name}, some, SETTINGS, tmp_path, lambda call: call())
    assert len(list(tmp_path.iterdir())) == 1


def test_learnt_slowdown_is_not_cached(models: ModelsByName, kept: Path) -> None:
    costs = machine_costs(models, SETTINGS, kept.parent)
    costs.slowdown["network"], costs.margin = 3.0, 2.0
    again = machine_costs(models, SETTINGS, kept.parent)
    assert (again.slowdown, again.margin) == ({}, CostModel().margin)
    assert again.tilings == {name: served.tiling for name, served in models.items()}


def test_contended_costs_are_saved_for_the_next_start(models: ModelsByName, kept: Path) -> None:
    costs = machine_costs(models, SETTINGS, kept.parent)
    save_contention(models, SETTINGS, kept.parent, costs)  # nothing was learnt yet
    assert machine_costs(models, SETTINGS, kept.parent).contended is None
    beside = costs.under(True)
    beside.slowdown["network"], beside.delay["network"] = 1.5, 80.0
    beside.handling_ms, beside.margin = 12.0, 4.0
    save_contention(models, SETTINGS, None, costs)  # nowhere
    save_contention(models, SETTINGS, kept.parent, costs)
    again = machine_costs(models, SETTINGS, kept.parent)
    contended = again.under(True)
    assert (contended.slowdown, contended.delay, contended.handling_ms) == (
        {"network": 1.5},
        {"network": 80.0},
        12.0,
    )
    assert contended.margin == CostModel.margin
    assert contended.lines is again.lines
    assert again.under(False).slowdown == {}


@pytest.mark.parametrize(
    "learnt",
    [
        None,
        7,
        {"slowdown": {"network": -1.0}},
        {"slowdown": {"network": 1e9}},
        {"slowdown": {"network": "fast"}},
        {"slowdown": {"network": float("nan")}},
        {"slowdown": {}, "delay": {"network": 1e9}},
        {"slowdown": {}, "handling_ms": float("inf")},
        {"delay": {}},
    ],
)
def test_implausible_contended_costs_are_ignored(
    models: ModelsByName, kept: Path, learnt: object
) -> None:
    facts = facts_of(models, SETTINGS)
    path = kept.parent / contention_name(facts)
    path.write_text(json.dumps({"facts": facts, "contended": learnt}))
    assert machine_costs(models, SETTINGS, kept.parent).contended is None
    path.write_text("{")
    assert machine_costs(models, SETTINGS, kept.parent).contended is None
    good = {"facts": {**facts, "format": 0}, "contended": {"slowdown": {"network": 2.0}}}
    path.write_text(json.dumps(good))
    assert machine_costs(models, SETTINGS, kept.parent).contended is None


def test_without_a_folder_everything_is_measured(models: ModelsByName, session: Gated) -> None:
    machine_costs(models, SETTINGS, None)
    measured = session.tiles
    machine_costs(models, SETTINGS, None)
    assert session.tiles == 2 * measured > 2 * WIDTHS


def changed(models: ModelsByName, **changes: Any) -> ModelsByName:
    return {name: replace(served, **changes) for name, served in models.items()}


def other_weights(entry: ModelEntry) -> ModelEntry:
    artifact = entry.weights.model_copy(update={"sha256": "0" * 64})
    return entry.model_copy(update={"weights": artifact})


def other_graph(entry: ModelEntry) -> ModelEntry:
    artifact = entry.widths[0].onnx.model_copy(update={"sha256": "0" * 64})
    widths = (entry.widths[0].model_copy(update={"onnx": artifact}), *entry.widths[1:])
    return entry.model_copy(update={"widths": widths})


def test_other_models_and_other_ways_to_run_have_files_of_their_own(models: ModelsByName) -> None:
    entry = default_entry()
    openvino = {n: Backend(Runtime.OPENVINO, n) for n in (Precision.FLOAT32, Precision.INT8)}
    zoos = [
        models,
        changed(models, entry=other_weights(entry)),
        changed(models, entry=other_graph(entry)),
        changed(models, tiling=tiling_of(entry, 5000)),
        *(changed(models, backend=backend) for backend in openvino.values()),
        models | {"second": models[entry.name]},
    ]
    ways: list[dict[str, Any]] = [{"worker_threads": 2}, {"spin": True}, {"device": Device.CUDA}]
    settings = [SETTINGS.model_copy(update=way) for way in ways]
    names = [costs_name(facts_of(z, SETTINGS)) for z in zoos]
    names += [costs_name(facts_of(models, way)) for way in settings]
    assert len(set(names)) == len(zoos) + len(ways)


@pytest.mark.parametrize(
    ("where", "what", "value"),
    [
        (machine, "cpu_name", lambda: "another processor"),
        (cache_files, "_version", lambda library: "0" if library == "onnxruntime" else "1"),
        (calibration_cache, "FORMAT", -1),
    ],
)
def test_other_machines_and_libraries_have_files_of_their_own(
    models: ModelsByName, monkeypatch: pytest.MonkeyPatch, where: object, what: str, value: object
) -> None:
    here = costs_name(facts_of(models, SETTINGS))
    monkeypatch.setattr(where, what, value)
    assert costs_name(facts_of(models, SETTINGS)) != here


def test_what_does_not_change_costs_does_not_change_the_file(models: ModelsByName) -> None:
    entry = default_entry().model_copy(update={"description": "Better words.", "quality": ()})
    settings = SETTINGS.model_copy(update={"log_level": "debug", "worker_metrics_port": 9000})
    assert facts_of(changed(models, entry=entry), settings) == facts_of(models, SETTINGS)


def without_a_stage(content: dict[str, Any]) -> None:
    del content["lines"][encode_stage("png")]


def with_a_negative_cost(content: dict[str, Any]) -> None:
    content["lines"]["decode"][0] = -1.0


def with_an_infinite_cost(content: dict[str, Any]) -> None:
    content["lines"]["decode"][0] = float("inf")


def with_a_free_stage(content: dict[str, Any]) -> None:
    content["lines"]["decode"] = [0, 0, 0, 0]


def with_a_short_line(content: dict[str, Any]) -> None:
    content["lines"]["decode"] = [1.0]


def of_another_machine(content: dict[str, Any]) -> None:
    content["facts"]["machine"][2] = "another processor"


def without_lines(content: dict[str, Any]) -> None:
    content["lines"] = None


@pytest.mark.parametrize(
    "harm",
    [
        *(without_a_stage, with_a_negative_cost, with_an_infinite_cost, with_a_free_stage),
        *(with_a_short_line, of_another_machine, without_lines),
    ],
)
def test_an_implausible_file_is_replaced_by_a_measurement(
    models: ModelsByName, session: Gated, kept: Path, harm: Any, caplog: pytest.LogCaptureFixture
) -> None:
    content = json.loads(kept.read_text())
    harm(content)
    kept.write_text(json.dumps(content))
    costs = machine_costs(models, SETTINGS, kept.parent)
    assert session.tiles > WIDTHS
    assert "cannot be used" in caplog.text
    assert kept.name in caplog.text
    assert read_lines(kept, facts_of(models, SETTINGS), set(stages_of(models))) == costs.lines


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"{}", b"\xff\xfe", b"7"])
def test_a_damaged_file_is_replaced_by_a_measurement(
    models: ModelsByName, kept: Path, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    kept.write_bytes(data)
    facts, stages = facts_of(models, SETTINGS), set(stages_of(models))
    assert read_lines(kept, facts, stages) is None
    assert "cannot be used" in caplog.text


def test_a_missing_file_is_not_logged(
    models: ModelsByName, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert read_lines(tmp_path / "none.json", facts_of(models, SETTINGS), set()) is None
    assert caplog.text == ""


def test_an_unwritable_folder_does_not_stop_a_worker(
    models: ModelsByName, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    costs = machine_costs(models, SETTINGS, blocked)
    assert stage_of(ladder(default_entry())[0]) in costs.lines
    assert "cannot be cached" in caplog.text


def test_a_full_disk_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write = Path.write_text

    def cut(path: Path, text: str) -> int:
        write(path, text[: len(text) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", cut)
    cache_files.write_cached(tmp_path / "costs.json", {}, {"lines": []})
    assert "cannot be cached" in caplog.text
    assert list(tmp_path.iterdir()) == []


def test_files_are_written_atomically(
    models: ModelsByName,
    kept: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A process that dies while it writes leaves the old file unchanged."""
    before = kept.read_text()

    def torn(path: Path, text: str) -> None:
        path.write_bytes(text[:40].encode())
        raise OSError("no space left")

    monkeypatch.setattr(Path, "write_text", torn)
    save_lines(kept, facts_of(models, SETTINGS), {"decode": Line(1.0, 1.0, 1.0)})
    assert kept.read_text() == before
    assert "no space left" in caplog.text


def test_the_default_folder_is_in_the_users_cache() -> None:
    home = {"HOME": "/home/u"}
    assert cache_folder(None, home) == Path("/home/u/.cache/anysr")
    assert cache_folder(None, home | {"XDG_CACHE_HOME": "/cache"}) == Path("/cache/anysr")
    assert cache_folder(None, home | {"XDG_CACHE_HOME": "rel"}) == Path("/home/u/.cache/anysr")
    assert cache_folder("some/where", home) == Path("some/where")
    assert cache_folder("", home) is None
    assert cache_folder(None, {}) is None


def test_an_empty_setting_disables_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANYSR_CALIBRATION_FOLDER", "")
    assert cache_folder(WorkerSettings().calibration_folder, {"HOME": "/home/u"}) is None


def test_tests_do_not_write_into_the_users_cache(calibration_folder: Path) -> None:
    assert WorkerSettings().calibration_folder == str(calibration_folder)
