"""`anysr simulate` and `anysr calibrate`: figures, files and errors."""

from __future__ import annotations

import json

import pytest
from PIL import Image
from typer.testing import CliRunner

from cli.main import app
from cli.simulate import COSTS
from models.catalog import SHIPPED, Catalog, read_catalog, write_catalog
from scheduling.cost_model import CostModel
from scheduling.rungs import ladder
from scheduling.simulation.strategies import STRATEGIES
from scheduling.stages import stage_of
from workers import calibration


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A catalog of anysr-s alone; the simulator opens none of its files."""
    folder = tmp_path_factory.mktemp("models")
    small = read_catalog(SHIPPED).get("anysr-s")
    write_catalog(folder, Catalog(default=small.name, models=(small,)))
    return folder


@pytest.fixture
def run(models):
    def invoke(*arguments):
        command = ["simulate", "--models", models, *arguments]
        return CliRunner().invoke(app, [str(a) for a in command], env={"COLUMNS": "200"})

    return invoke


def test_the_table_has_all_strategies_and_the_bound(run, tmp_path):
    result = run("--requests", 400, "--json", tmp_path / "o.json", "--plot", tmp_path / "o.png")
    assert result.exit_code == 0, result.output
    for name in (*STRATEGIES, "bound"):
        assert f"│ {name} " in result.output
    written = json.loads((tmp_path / "o.json").read_text())
    ours = written["strategies"]["ours"]
    assert written["requests"] == 400
    assert ours["attainment"] > 0.97
    assert ours["mean_db"] <= written["bound"]["mean_db"]
    assert f"{100 * ours['attainment']:.2f}" in result.output
    with Image.open(tmp_path / "o.png") as picture:
        assert picture.format == "PNG"


def test_no_figure_is_cut_off_on_a_narrow_screen(models):
    arguments = ["simulate", "--models", str(models), "--requests", "300"]
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "80"})
    assert "…" not in result.output


def test_a_seed_repeats_and_more_load_meets_fewer_budgets(run, tmp_path):
    def outcome(*arguments):
        result = run("--requests", 800, "--strategies", "ours,widest", "--json",
                     tmp_path / "o.json", *arguments)  # fmt: skip
        assert result.exit_code == 0, result.output
        return json.loads((tmp_path / "o.json").read_text())["strategies"]

    first = outcome()
    assert outcome() == first
    assert outcome("--seed", 2) != first
    assert outcome("--load", 0.3)["widest"]["attainment"] > first["widest"]["attainment"]
    assert outcome("--workers", 1, "--load", 1)["ours"]["mean_db"] > 0
    assert outcome("--scale", 3)["ours"]["mean_db"] < 29 < first["ours"]["mean_db"]
    assert "lanczos@0" not in outcome("--on-miss", "reject")["ours"]["rungs"]


def test_the_load_refers_to_the_named_rung(run, tmp_path):
    """An equal load of a cheaper rung is more requests per second."""
    seconds = []
    for arguments in ((), ("--load-of", "anysr-s@0.25")):
        result = run("--requests", 500, "--strategies", "narrowest", "--arrivals", "poisson",
                     "--json", tmp_path / "o.json", *arguments)  # fmt: skip
        assert result.exit_code == 0, result.output
        seconds.append(json.loads((tmp_path / "o.json").read_text())["seconds"])
    assert seconds[0] > 1.1 * seconds[1]


@pytest.mark.parametrize("rung", ["anysr-s", "anysr-s@wide", "nothing@1"])
def test_a_load_of_an_unknown_rung_is_refused(run, rung):
    result = run("--requests", 10, "--load-of", rung)
    assert result.exit_code == 2
    assert "MODEL@WIDTH" in result.output or "no model makes" in result.output


def test_a_trace_is_read(run, tmp_path):
    (tmp_path / "t.csv").write_text("arrival_ms,budget_ms\n" + "0,300\n" * 30)
    result = run("--trace", tmp_path / "t.csv", "--json", tmp_path / "o.json")
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "o.json").read_text())["requests"] == 30


def test_workers_fail_as_requested(run, tmp_path):
    def dropped(*slow):
        result = run("--requests", 200, "--workers", 1, "--json", tmp_path / "o.json", *slow)
        assert result.exit_code == 0, result.output
        return json.loads((tmp_path / "o.json").read_text())

    dead, back = "2:0:inf", "3:0:1"
    assert dropped("--slow", dead)["strategies"]["greedy"]["dropped"] > 0.3
    returned = dropped("--slow", dead, "--slow", back)
    assert returned["strategies"]["greedy"]["dropped"] < 0.3
    assert returned["bound"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--arrivals", "weekly"), "unknown arrivals 'weekly'"),
        (("--strategies", "ours,best"), "unknown strategy 'best'"),
        (("--budgets", "3000,300"), "two rising numbers"),
        (("--budgets", "quick"), "quick"),
        (("--load", 0), "the load must be a number above 0"),
        (("--scale", 0.5), "not in the range 1<=x<=64"),
        (("--slow", "5:9:2"), "a worker from 0 to 3"),
        (("--slow", "soon"), "TIME_S:WORKER:FACTOR"),
        (("--trace", "nowhere.csv"), "nowhere.csv"),
        (("--costs", "nowhere.json"), "nowhere.json"),
        (("--models", "nowhere"), "nowhere"),
    ],
)
def test_invalid_arguments_are_reported(run, arguments, message):
    result = run("--requests", 10, *arguments)
    assert result.exit_code == 2, result.output
    assert message in result.output


def test_a_file_without_costs_is_reported(run, tmp_path):
    for text in ("", "[]", '{"lines": 3}', '{"lines": {"decode": [1]}, "slowdown": {}}'):
        (tmp_path / "c.json").write_text(text)
        result = run("--requests", 10, "--costs", tmp_path / "c.json")
        assert result.exit_code == 2, result.output
        assert "holds no costs" in result.output


def test_costs_of_an_earlier_version_are_refused_with_the_remedy(run, tmp_path):
    costs = json.loads(COSTS.read_text())
    costs["pace"] = costs.pop("slowdown")
    (tmp_path / "c.json").write_text(json.dumps(costs))
    result = run("--requests", 10, "--costs", tmp_path / "c.json")
    assert result.exit_code == 2, result.output
    assert "earlier version" in result.output
    assert "anysr calibrate --output" in result.output


def test_the_committed_costs_have_every_rung_of_the_shipped_models():
    costs = CostModel.from_dict(json.loads(COSTS.read_text()))
    for entry in read_catalog(SHIPPED).models:
        if entry.in_ladder:
            for rung in ladder(entry):
                assert stage_of(rung) in costs.lines


def test_calibrate_writes_what_simulate_reads(tmp_path, monkeypatch):
    monkeypatch.setattr(calibration, "ROUNDS", 1)  # accuracy does not matter here
    monkeypatch.setattr(calibration, "NETWORK_SIZES", calibration.SMALL_SIZES)
    monkeypatch.setattr(calibration, "FLOOR_SIZES", calibration.FLOOR_SIZES[:-1])
    output = tmp_path / "new" / "costs.json"
    arguments = ["calibrate", "--output", str(output)]
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    assert "network:anysr-s@0.25" in result.output
    costs = CostModel.from_dict(json.loads(output.read_text()))
    assert costs.lines.keys() >= CostModel.from_dict(json.loads(COSTS.read_text())).lines.keys()
    assert CliRunner().invoke(app, ["calibrate", "--models", str(tmp_path)]).exit_code == 2


def test_each_number_of_shards_is_a_row_of_the_same_requests(run, tmp_path):
    arguments = ("--requests", 300, "--strategies", "ours,aimd", "--json", tmp_path / "o.json")
    result = run(*arguments, "--shards", "1,2")
    assert result.exit_code == 0, result.output
    both = json.loads((tmp_path / "o.json").read_text())["strategies"]
    assert list(both) == ["ours", "aimd", "ours, 2 shards", "aimd, 2 shards"]
    alone = run(*arguments, "--shards", "2")
    assert alone.exit_code == 0, alone.output
    again = json.loads((tmp_path / "o.json").read_text())["strategies"]
    assert again == {name: both[name] for name in ("ours, 2 shards", "aimd, 2 shards")}


@pytest.mark.parametrize("shards", ["5", "0", "two"])
def test_shards_that_four_workers_cannot_serve_are_refused(run, shards):
    result = run("--requests", 10, "--shards", shards)
    assert result.exit_code == 2
    assert "shard" in result.output
