"""From a folder to loaded models: valid entries run, broken are reported, unchanged stay."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from jobs.job import LADDER
from models.catalog import CATALOG_FILE, SHIPPED, CatalogError, describe, read_catalog
from scheduling.stages import stage_of
from tests.workers.model_folder import SMALL, add_copy, edit, remove, small_folder, tamper
from workers.calibration import warm_model
from workers.current_models import LoadedModels
from workers.disturbance import Needs
from workers.loaded_model import LoadedModel
from workers.model_loader import ModelLoader
from workers.settings import WorkerSettings

SETTINGS = WorkerSettings(worker_threads=1)


def loader_of(folder: Path, costs: Path | None = None) -> ModelLoader:
    return ModelLoader(folder, SETTINGS, costs)


def reloaded(loader: ModelLoader, loaded: LoadedModels) -> LoadedModels:
    """The models after a reload, and the number of turns that it took."""
    update = loader.reload(loaded.models, dict(loaded.costs.lines), lambda call: call())
    return loaded.updated(update.models, update.lines, update.broken)


def stages(served: LoadedModel) -> set[str]:
    return {stage_of(rung) for rung in served.rungs}


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measurements count as undisturbed, however busy the machine is."""
    monkeypatch.setattr(Needs, "disturbance", lambda *_: None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return small_folder(tmp_path / "models", SMALL)


@pytest.fixture(scope="module")
def costs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cached costs, so that only the first test of this module measures them."""
    return tmp_path_factory.mktemp("costs")


@pytest.fixture
def loader(folder: Path, costs: Path) -> ModelLoader:
    return loader_of(folder, costs)


def test_a_new_entry_is_measured_and_others_keep_their_costs(
    folder: Path, loader: ModelLoader
) -> None:
    before = loader.load_all()
    before.costs.slowdown["network"], before.costs.margin = 1.75, 2.5
    add_copy(folder, "second")
    after = reloaded(loader, before)
    assert set(after.models) == {SMALL, "second"}
    assert after.models[SMALL].session is before.models[SMALL].session
    assert (after.costs.slowdown["network"], after.costs.margin) == (1.75, 2.5)
    assert set(after.costs.lines) == set(before.costs.lines) | stages(after.models["second"])
    assert all(after.costs.lines[s] == before.costs.lines[s] for s in before.costs.lines)
    assert after.capabilities == (LADDER, SMALL, "second", f"{SMALL}@1", "second@1")
    assert after.broken == {}
    started = loader.load_all()  # reads the cached costs of both
    assert started.costs.lines == after.costs.lines


def test_a_reload_without_changes_measures_nothing(loader: ModelLoader) -> None:
    before = loader.load_all()

    def no_turn(_: Callable[[], float]) -> float:
        pytest.fail("nothing is new")

    update = loader.reload(before.models, dict(before.costs.lines), no_turn)
    assert update.models == before.models
    assert update.lines == {}


def test_a_removed_entry_is_removed_with_its_costs(folder: Path, loader: ModelLoader) -> None:
    add_copy(folder, "second")
    before = loader.load_all()
    remove(folder, "second")
    after = reloaded(loader, before)
    assert list(after.models) == [SMALL]
    assert stages(before.models["second"]).isdisjoint(after.costs.lines)
    assert after.capabilities == (LADDER, SMALL, f"{SMALL}@1")


def leads_out(folder: Path) -> None:
    graph = folder / "second.onnx"
    graph.rename(folder.parent / "elsewhere.onnx")
    graph.symlink_to(folder.parent / "elsewhere.onnx")


def is_no_graph(folder: Path) -> None:
    graph = folder / "second.onnx"
    graph.write_bytes(b"no graph")
    [width] = read_catalog(folder).get("second").model_dump(mode="json")["widths"]
    edit(folder, "second", widths=[{**width, "onnx": describe(graph).model_dump(mode="json")}])


def has_a_path(folder: Path) -> None:
    weights = read_catalog(folder).get("second").weights.model_dump(mode="json")
    edit(folder, "second", weights={**weights, "file": f"../models/{weights['file']}"})


FAULTS: dict[str, Callable[[Path], None]] = {
    "differs from its checksum": lambda folder: tamper(folder, "second"),
    "is missing": lambda folder: (folder / "second.onnx").unlink(),
    "leads out of the folder": leads_out,
    "must be a plain file name": has_a_path,
    "halo: Input should be": lambda folder: edit(folder, "second", halo="wide"),
    "narrowest first": lambda folder: edit(folder, "second", widths=[]),
    "rotobuf": is_no_graph,
}


@pytest.mark.parametrize("reason", FAULTS)
def test_a_broken_entry_does_not_affect_others_at_a_start(
    folder: Path, loader: ModelLoader, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    add_copy(folder, "second")
    FAULTS[reason](folder)
    loaded = loader.load_all()
    assert list(loaded.models) == [SMALL]
    assert list(loaded.broken) == ["second"]
    assert reason in loaded.broken["second"]
    assert "model second is broken" in caplog.text


@pytest.mark.parametrize("reason", FAULTS)
def test_a_broken_entry_leaves_its_running_model(
    folder: Path, loader: ModelLoader, reason: str
) -> None:
    add_copy(folder, "second")
    before = loader.load_all()
    FAULTS[reason](folder)
    after = reloaded(loader, before)
    assert {n: s.session for n, s in after.models.items()} == {
        n: s.session for n, s in before.models.items()
    }
    assert after.costs == before.costs
    assert reason in after.broken["second"]


def test_a_running_model_does_not_change_with_its_files(folder: Path, loader: ModelLoader) -> None:
    """Mapped weights would change with their file, or crash the process where it was cut."""
    served = loader.load_all().models[SMALL]
    weights = folder / served.entry.weights.file
    weights.write_bytes(b"\0")
    warm_model(served)
    maps = Path("/proc/self/maps")
    assert not maps.exists() or str(weights) not in maps.read_text()


def test_a_changed_artifact_is_reloaded_and_a_changed_text_is_not(
    folder: Path, loader: ModelLoader
) -> None:
    before = loader.load_all()
    edit(folder, SMALL, description="The same, in other words.")
    renamed = reloaded(loader, before)
    assert renamed.models[SMALL].session is before.models[SMALL].session
    assert renamed.models[SMALL].entry.description == "The same, in other words."
    narrow = read_catalog(SHIPPED).get(SMALL).widths[0]
    (folder / narrow.onnx.file).write_bytes((SHIPPED / narrow.onnx.file).read_bytes())
    wide = renamed.models[SMALL].entry.widths[0]
    edit(folder, SMALL, widths=[w.model_dump(mode="json") for w in (narrow, wide)])
    after = reloaded(loader, renamed)
    assert after.models[SMALL].session is not before.models[SMALL].session
    assert f"{SMALL}@0.25" in after.capabilities
    assert np.isfinite(after.costs.lines[f"network:{SMALL}@0.25"].fixed)


@pytest.mark.parametrize("content", ["{", "[]", '{"default": "x", "models": []}', "\udcff"])
def test_a_catalog_that_cannot_be_read_at_all_is_an_error(
    folder: Path, loader: ModelLoader, content: str
) -> None:
    before = loader.load_all()
    (folder / CATALOG_FILE).write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(CatalogError, match=CATALOG_FILE):
        loader.load_all()
    with pytest.raises(CatalogError, match=CATALOG_FILE):
        reloaded(loader, before)


def test_a_start_without_valid_models_fails_with_the_reasons(
    folder: Path, loader: ModelLoader
) -> None:
    tamper(folder, SMALL)
    with pytest.raises(CatalogError, match=f"can be served; {SMALL}: .*checksum"):
        loader.load_all()


def test_a_model_on_demand_is_loaded_on_request_and_stays(
    folder: Path, loader: ModelLoader
) -> None:
    add_copy(folder, "rare")
    edit(folder, "rare", on_demand=True, in_ladder=False)
    loaded = loader.load_all()
    assert set(loaded.models) == {SMALL}
    assert set(reloaded(loader, loaded).models) == {SMALL}
    known = dict(loaded.costs.lines)
    update = loader.reload(loaded.models, known, lambda call: call(), {"rare", "unheard-of"})
    assert set(update.models) == {SMALL, "rare"}
    assert set(update.lines) == stages(update.models["rare"])
    after = loaded.updated(update.models, update.lines, update.broken)
    assert "rare" in after.capabilities
    assert set(reloaded(loader, after).models) == {SMALL, "rare"}


def test_models_to_warm_are_loaded_at_the_start(folder: Path, costs: Path) -> None:
    for name in ("rare", "rarer"):
        add_copy(folder, name)
        edit(folder, name, on_demand=True)
    settings = SETTINGS.model_copy(update={"warm": ("rare",)})
    assert set(ModelLoader(folder, settings, costs).load_all().models) == {SMALL, "rare"}
