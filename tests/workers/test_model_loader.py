"""From a folder to a stock: what is good runs, what is broken is told, what runs is left alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from jobs.job import LADDER
from models.catalog import CATALOG_FILE, SHIPPED, CatalogError, describe, read_catalog
from scheduling.cost_model import stage_of
from tests.workers.model_folder import SMALL, add_copy, edit, remove, small_folder, tamper
from workers.calibration import warm_model
from workers.disturbance import Needs
from workers.loaded_model import Served
from workers.model_loader import Stocker
from workers.model_slot import Stock
from workers.settings import WorkerSettings

SETTINGS = WorkerSettings(worker_threads=1)


def stocker_of(folder: Path, costs: Path | None = None) -> Stocker:
    return Stocker(folder, SETTINGS, costs)


def restocked(stocker: Stocker, stock: Stock) -> Stock:
    """The stock after a reading, and the turns that it took."""
    delivery = stocker.next(stock.zoo, dict(stock.costs.lines), lambda call: call())
    return stock.exchanged(delivery.zoo, delivery.lines, delivery.broken)


def stages(served: Served) -> set[str]:
    return {stage_of(rung) for rung in served.rungs}


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is that runs the tests."""
    monkeypatch.setattr(Needs, "disturbance", lambda *_: None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return small_folder(tmp_path / "models", SMALL)


@pytest.fixture(scope="module")
def costs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Kept costs, so that only the first test of this module measures them."""
    return tmp_path_factory.mktemp("costs")


@pytest.fixture
def stocker(folder: Path, costs: Path) -> Stocker:
    return stocker_of(folder, costs)


def test_a_new_entry_is_measured_and_the_others_keep_what_they_learnt(
    folder: Path, stocker: Stocker
) -> None:
    before = stocker.first()
    before.costs.pace["network"], before.costs.margin = 1.75, 2.5
    add_copy(folder, "second")
    after = restocked(stocker, before)
    assert set(after.zoo) == {SMALL, "second"}
    assert after.zoo[SMALL].session is before.zoo[SMALL].session
    assert (after.costs.pace["network"], after.costs.margin) == (1.75, 2.5)
    assert set(after.costs.lines) == set(before.costs.lines) | stages(after.zoo["second"])
    assert all(after.costs.lines[s] == before.costs.lines[s] for s in before.costs.lines)
    assert after.offers == (LADDER, SMALL, "second", f"{SMALL}@1", "second@1")
    assert after.broken == {}
    started = stocker.first()  # reads what was kept of both
    assert started.costs.lines == after.costs.lines


def test_a_reading_without_news_measures_nothing(stocker: Stocker) -> None:
    before = stocker.first()

    def no_turn(_: Callable[[], float]) -> float:
        pytest.fail("nothing is new")

    delivery = stocker.next(before.zoo, dict(before.costs.lines), no_turn)
    assert delivery.zoo == before.zoo
    assert delivery.lines == {}


def test_a_removed_entry_is_gone_with_its_costs(folder: Path, stocker: Stocker) -> None:
    add_copy(folder, "second")
    before = stocker.first()
    remove(folder, "second")
    after = restocked(stocker, before)
    assert list(after.zoo) == [SMALL]
    assert stages(before.zoo["second"]).isdisjoint(after.costs.lines)
    assert after.offers == (LADDER, SMALL, f"{SMALL}@1")


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
def test_a_broken_entry_costs_no_other_at_a_start(
    folder: Path, stocker: Stocker, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    add_copy(folder, "second")
    FAULTS[reason](folder)
    stock = stocker.first()
    assert list(stock.zoo) == [SMALL]
    assert list(stock.broken) == ["second"]
    assert reason in stock.broken["second"]
    assert "model second is broken" in caplog.text


@pytest.mark.parametrize("reason", FAULTS)
def test_a_broken_entry_leaves_its_running_model_alone(
    folder: Path, stocker: Stocker, reason: str
) -> None:
    add_copy(folder, "second")
    before = stocker.first()
    FAULTS[reason](folder)
    after = restocked(stocker, before)
    assert {n: s.session for n, s in after.zoo.items()} == {
        n: s.session for n, s in before.zoo.items()
    }
    assert after.costs == before.costs
    assert reason in after.broken["second"]


def test_a_running_model_does_not_change_with_its_files(folder: Path, stocker: Stocker) -> None:
    """Weights that were mapped from their file would, or end the process where it was cut."""
    served = stocker.first().zoo[SMALL]
    weights = folder / served.entry.weights.file
    weights.write_bytes(b"\0")
    warm_model(served)
    maps = Path("/proc/self/maps")
    assert not maps.exists() or str(weights) not in maps.read_text()


def test_a_changed_entry_is_loaded_anew_and_a_changed_text_is_not(
    folder: Path, stocker: Stocker
) -> None:
    before = stocker.first()
    edit(folder, SMALL, description="The same, told otherwise.")
    told = restocked(stocker, before)
    assert told.zoo[SMALL].session is before.zoo[SMALL].session
    assert told.zoo[SMALL].entry.description == "The same, told otherwise."
    narrow = read_catalog(SHIPPED).get(SMALL).widths[0]
    (folder / narrow.onnx.file).write_bytes((SHIPPED / narrow.onnx.file).read_bytes())
    wide = told.zoo[SMALL].entry.widths[0]
    edit(folder, SMALL, widths=[w.model_dump(mode="json") for w in (narrow, wide)])
    after = restocked(stocker, told)
    assert after.zoo[SMALL].session is not before.zoo[SMALL].session
    assert f"{SMALL}@0.25" in after.offers
    assert np.isfinite(after.costs.lines[f"network:{SMALL}@0.25"].fixed)


@pytest.mark.parametrize("content", ["{", "[]", '{"default": "x", "models": []}', "\udcff"])
def test_a_catalog_that_cannot_be_read_at_all_is_an_error(
    folder: Path, stocker: Stocker, content: str
) -> None:
    before = stocker.first()
    (folder / CATALOG_FILE).write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(CatalogError, match=CATALOG_FILE):
        stocker.first()
    with pytest.raises(CatalogError, match=CATALOG_FILE):
        restocked(stocker, before)


def test_where_no_model_is_good_a_start_fails_and_says_why(folder: Path, stocker: Stocker) -> None:
    tamper(folder, SMALL)
    with pytest.raises(CatalogError, match=f"can be served; {SMALL}: .*checksum"):
        stocker.first()


def test_a_model_on_demand_is_loaded_when_it_was_asked_for_and_stays(
    folder: Path, stocker: Stocker
) -> None:
    add_copy(folder, "rare")
    edit(folder, "rare", on_demand=True, in_ladder=False)
    stock = stocker.first()
    assert set(stock.zoo) == {SMALL}
    assert set(restocked(stocker, stock).zoo) == {SMALL}
    known = dict(stock.costs.lines)
    delivery = stocker.next(stock.zoo, known, lambda call: call(), {"rare", "unheard-of"})
    assert set(delivery.zoo) == {SMALL, "rare"}
    assert set(delivery.lines) == stages(delivery.zoo["rare"])
    after = stock.exchanged(delivery.zoo, delivery.lines, delivery.broken)
    assert "rare" in after.offers
    assert set(restocked(stocker, after).zoo) == {SMALL, "rare"}


def test_what_is_to_be_warm_is_loaded_at_the_start(folder: Path, costs: Path) -> None:
    for name in ("rare", "rarer"):
        add_copy(folder, name)
        edit(folder, name, on_demand=True)
    settings = SETTINGS.model_copy(update={"warm": ("rare",)})
    assert set(Stocker(folder, settings, costs).first().zoo) == {SMALL, "rare"}
