"""`anysr train`, `export` and `evaluate`, one after the other on drawn pictures."""

import json
import re

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from cli.main import app
from models.catalog import read_catalog

TINY = """
[network]
name = "conditioned"
args = { channels = 8, blocks = 1, basis = 3, widths = [4, 8] }
[sampling]
batch = 1
patch = 16
[training]
steps = 100
validation_images = 1
validate_every = 100
"""


def run(*arguments, columns=200):
    return CliRunner().invoke(app, [str(a) for a in arguments], env={"COLUMNS": str(columns)})


@pytest.fixture(scope="module")
def workshop(tmp_path_factory):
    """A folder with photographs (drawn), a config and a finished training."""
    root = tmp_path_factory.mktemp("workshop")
    (root / "photos").mkdir()
    for seed in range(3):
        pixels = np.random.default_rng(seed).integers(0, 256, (10, 10, 3), dtype=np.uint8)
        image = Image.fromarray(pixels).resize((170, 180), Image.Resampling.BICUBIC)
        image.save(root / "photos" / f"{seed}.png")
    (root / "tiny.toml").write_text(TINY)
    result = run(
        "train", root / "tiny.toml", "--data", root / "photos", "--output", root / "run",
        "--device", "cpu",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "Step 100 of 100" in result.output
    return root


def test_resuming_a_finished_training_changes_nothing(workshop):
    before = (workshop / "run" / "weights.safetensors").read_bytes()
    result = run(
        "train", workshop / "tiny.toml", "--data", workshop / "photos",
        "--output", workshop / "run", "--device", "cpu",
    )  # fmt: skip
    assert "at step 100" in result.output
    assert (workshop / "run" / "weights.safetensors").read_bytes() == before


def test_a_run_can_be_extended(workshop):
    for steps in (5, 8):
        result = run(
            "train", workshop / "tiny.toml", "--data", workshop / "photos", "--steps", steps,
            "--output", workshop / "longer", "--device", "cpu",
        )  # fmt: skip
        assert f"Step {steps} of {steps}" in result.output


def test_minutes_include_reading_and_a_checkpoint_remains(workshop):
    result = run(
        "train", workshop / "tiny.toml", "--data", workshop / "photos", "--minutes", 1e-6,
        "--validation", workshop / "photos", "--output", workshop / "short", "--device", "cpu",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "Step 0 of 100" in result.output
    assert (workshop / "short" / "state.json").exists()


def test_the_error_names_a_misspelt_setting(workshop):
    (workshop / "wrong.toml").write_text(TINY.replace("validate_every", "validate_after"))
    result = run(
        "train", workshop / "wrong.toml", "--data", workshop / "photos", "--output", workshop / "x"
    )
    assert result.exit_code == 2
    assert "validate_after" in result.output


def test_export_then_evaluate_then_record(workshop):
    result = run(
        "export", workshop / "run" / "weights.safetensors", "--name", "tiny",
        "--description", "A test.", "--folder", workshop / "models",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert read_catalog(workshop / "models").default == "tiny"
    arguments = ("--data", workshop / "photos", "--scales", "2,2.5")
    shipped = run(
        "evaluate", "tiny", *arguments, "--models", workshop / "models",
        "--json", workshop / "shipped.json", "--record", "Drawn",
    )  # fmt: skip
    assert shipped.exit_code == 0, shipped.output
    eager = run(
        "evaluate", workshop / "run" / "weights.safetensors", *arguments,
        "--json", workshop / "eager.json",
    )  # fmt: skip
    assert eager.exit_code == 0, eager.output
    rows = [
        json.loads((workshop / f"{n}.json").read_text())["results"] for n in ("shipped", "eager")
    ]
    assert rows[0].keys() == rows[1].keys() == {"bicubic", "0.5", "1"}
    for name in rows[0]:
        for a, b in zip(rows[0][name], rows[1][name], strict=True):
            assert a["psnr_y"] == pytest.approx(b["psnr_y"], abs=0.01)
    quality = read_catalog(workshop / "models").get("tiny").quality
    assert {(q.dataset, q.scale, q.width) for q in quality} == {
        ("Drawn", s, w) for s in (2.0, 2.5) for w in (0.5, 1.0)
    }


def test_the_loss_of_int8_is_recorded_with_the_trunks(workshop):
    folder = workshop / "models"
    assert run("quantise", "tiny", "--data", workshop / "photos", "--models", folder).exit_code == 0
    evaluated = ("evaluate", "tiny", "--data", workshop / "photos", "--models", folder)
    exact = run(*evaluated, "--scales", "2", "--record", "Drawn", "--json", workshop / "exact.json")
    int8 = run(
        *evaluated, "--scales", "2", "--precision", "int8", "--record", "Drawn",
        "--json", workshop / "int8.json",
    )  # fmt: skip
    assert (exact.exit_code, int8.exit_code) == (0, 0), int8.output
    of_float32, of_int8 = (
        json.loads((workshop / f"{name}.json").read_text())["results"] for name in ("exact", "int8")
    )
    entry = read_catalog(folder).get("tiny")
    for width in entry.widths:
        name = f"{width.width:g}"
        lost = of_float32[name][0]["psnr_y"] - of_int8[name][0]["psnr_y"]
        assert width.int8 is not None
        assert width.int8.loss_db == pytest.approx(max(0, lost), abs=0.001)
    # Quality itself stays that of float32.
    measured = {q.width: q.psnr_y for q in entry.quality if (q.dataset, q.scale) == ("Drawn", 2.0)}
    assert measured[1.0] == pytest.approx(of_float32["1"][0]["psnr_y"], abs=0.001)


def test_every_figure_is_printed_in_full(workshop):
    scales = [1.2, 1.5, 2, 2.37, 3, 3.5, 4, 5, 6, 8]
    result = run(
        "evaluate", "bicubic", "--data", workshop / "photos", "--json", workshop / "b.json",
        "--scales", ",".join(map(str, scales)), columns=40,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "…" not in result.output
    lines = [line.split() for line in re.sub("[^ -~\n]", " ", result.output).splitlines()]
    rows = json.loads((workshop / "b.json").read_text())["results"]["bicubic"]
    assert [row["scale"] for row in rows] == scales
    for row in rows:
        figures = [f"x{row['scale']:g}", f"{row['psnr_y']:.2f}", f"{row['ssim']:.4f}"]
        assert ["bicubic", *figures] in lines


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("train", "nonsense", "--data", ".", "--output", "x"), "anysr-s"),
        (("evaluate", "nonsense", "--data", "PHOTOS"), "nonsense"),
        (("evaluate", "bicubic", "--data", "nowhere"), "no folder"),
        (("evaluate", "bicubic", "--data", "PHOTOS", "--scales", "two"), "two"),
    ],
)
def test_wrong_arguments_are_reported(workshop, arguments, words):
    given = [str(workshop / "photos") if a == "PHOTOS" else a for a in arguments]
    result = run(*given)
    assert result.exit_code == 2
    assert words in result.output
