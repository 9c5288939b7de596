"""`anysr upscale` before anything runs: what it takes, where results go, and what it refuses."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from cli.main import app
from cli.upscaling import plan
from cli.upscaling.plan import folds_case, named_for
from cli.upscaling.results import Results
from jobs.formats import ImageFormat


def put(path: Path, image_format: str = "PNG") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (12, 10), (200, 30, 30)).save(path, image_format)
    return path


def dry(*arguments: object) -> Result:
    """Run with --dry-run, which makes nothing."""
    command = ["upscale", *map(str, arguments), "--scale", "2", "--dry-run"]
    return CliRunner().invoke(app, command)


def targets(result: Result, folder: Path) -> dict[str, str]:
    """Return the planned results by input, both below a folder."""
    assert result.exit_code == 0, result.output
    pairs = re.findall(r"^(.*) -> (.*)$", result.stdout, re.MULTILINE)
    return {
        str(Path(source).relative_to(folder)): str(Path(target).relative_to(folder))
        for source, target in pairs
    }


def refused(result: Result, *words: str) -> None:
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    for word in words:
        assert word in result.stderr


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_folder_keeps_its_structure_and_each_file_its_format(tmp_path: Path) -> None:
    put(tmp_path / "in/a.png")
    put(tmp_path / "in/deep/b.jpeg", "JPEG")
    put(tmp_path / "in/c.png", "JPEG")
    put(tmp_path / "in/d.jfif", "JPEG")
    put(tmp_path / "in/photo.2024", "WEBP")
    assert targets(dry(tmp_path / "in", "-o", tmp_path / "out"), tmp_path) == {
        "in/a.png": "out/a.png",
        "in/deep/b.jpeg": "out/deep/b.jpeg",
        "in/c.png": "out/c.jpg",
        "in/d.jfif": "out/d.jpg",
        "in/photo.2024": "out/photo.2024.webp",
    }
    assert not (tmp_path / "out").exists()


def test_what_is_no_picture_is_named_and_passed_over(tmp_path: Path) -> None:
    put(tmp_path / "in/a.png")
    put(tmp_path / "in/._b.png")
    put(tmp_path / "in/.thumbnails/c.png")
    (tmp_path / "in/notes.txt").write_text("no picture")
    (tmp_path / "in/folder.png").mkdir()
    (tmp_path / "in/lost.png").symlink_to("nowhere")
    (tmp_path / "in/loop").symlink_to(tmp_path / "in")
    os.mkfifo(tmp_path / "in/pipe.png")
    result = dry(tmp_path / "in", "-o", tmp_path / "out")
    assert targets(result, tmp_path) == {"in/a.png": "out/a.png"}
    for name in ("._b.png", ".thumbnails", "notes.txt", "lost.png", "loop", "pipe.png"):
        assert f"in/{name}: passed over, " in result.stderr
    assert "folder.png" not in result.output


def test_results_within_the_folder_of_the_inputs_are_no_inputs(tmp_path: Path) -> None:
    put(tmp_path / "in/a.png")
    put(tmp_path / "in/large/a.png")
    result = dry(tmp_path / "in", "-o", tmp_path / "in/large", "--skip-existing")
    assert targets(result, tmp_path) == {}
    assert "0 would be made, 1 skipped" in result.stdout


@pytest.mark.parametrize("pattern", ["in/*.png", "in/**/*.png", "i?/[ab]*.png"])
def test_patterns_that_the_shell_left_alone_are_expanded(tmp_path: Path, pattern: str) -> None:
    put(tmp_path / "in/a.png")
    put(tmp_path / "in/b.png")
    result = dry(pattern, "-o", "out")
    assert result.exit_code == 0, result.output
    assert "2 would be made" in result.stdout


def test_a_name_with_brackets_is_a_file_before_it_is_a_pattern(tmp_path: Path) -> None:
    put(tmp_path / "a [12].png")
    put(tmp_path / "a 1.png")
    assert "a [12].png -> out/a [12].png\n1 would be made" in dry("a [12].png", "-o", "out").stdout


def test_a_picture_that_is_named_twice_is_made_once(tmp_path: Path) -> None:
    put(tmp_path / "in/a.png")
    result = dry("in", "in/a.png", "./in/../in/a.png", tmp_path / "in", "-o", "out")
    assert "1 would be made" in result.stdout


@pytest.mark.parametrize("arguments", [["nowhere.png"], ["*.webp"], ["in"], ["in", "gone", "lost"]])
def test_inputs_that_name_no_picture_are_refused(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "in").mkdir()
    missing = [name for name in arguments if name != "in"]
    refused(dry(*arguments, "-o", "out"), *missing)


def link(kind: str, original: Path, name: Path) -> Path:
    """Return another name of a file."""
    if kind == "same":
        return original
    if kind == "spelling":
        return original.parent / ".." / original.parent.name / original.name
    if kind == "symbolic":
        name.symlink_to(original)
    elif kind == "hard":
        name.hardlink_to(original)
    else:
        name.parent.joinpath("door").symlink_to(original.parent)
        return name.parent / "door" / original.name
    return name


@pytest.mark.parametrize("kind", ["same", "spelling", "symbolic", "hard", "folder"])
@pytest.mark.parametrize("option", [[], ["--overwrite"], ["--skip-existing"]])
def test_no_input_is_a_result(tmp_path: Path, kind: str, option: list[str]) -> None:
    original = put(tmp_path / "in/a.png")
    other = put(tmp_path / "in/b.png")
    alias = link(kind, original, tmp_path / "alias.png")
    refused(dry(original, "-o", alias, *option), "is the input")
    refused(dry(original.parent, "-o", original.parent, *option), "is the input")
    # Nor another input of the run.
    (tmp_path / "out").mkdir()
    (tmp_path / "out/b.png").hardlink_to(original)
    refused(dry(original, other, "-o", "out", *option), "out/b.png", "is the input", "in/a.png")


def test_two_results_of_one_name_are_numbered(tmp_path: Path) -> None:
    put(tmp_path / "x/a.png")
    put(tmp_path / "y/a.png")
    put(tmp_path / "z/a-2.png")
    for inputs in (("x/a.png", "y/a.png", "z/a-2.png"), ("x", "y", "z")):
        said = dry(*inputs, "-o", "out").stdout
        assert "x/a.png -> out/a.png" in said
        assert "y/a.png -> out/a-3.png" in said  # a-2.png is the result of another input
        assert "z/a-2.png -> out/a-2.png" in said
    assert "3 would be made" in dry(".", "-o", "out").stdout


def test_inputs_that_differ_in_their_suffix_are_numbered_in_one_format(tmp_path: Path) -> None:
    put(tmp_path / "in/a.png")
    put(tmp_path / "in/a.jpg", "JPEG")
    assert "2 would be made" in dry("in", "-o", "out").stdout
    said = dry("in", "-o", "out", "--format", "webp").stdout
    assert "in/a.jpg -> out/a.webp" in said
    assert "in/a.png -> out/a-2.webp" in said


def test_several_inputs_do_not_become_one_file(tmp_path: Path) -> None:
    put(tmp_path / "x/a.png")
    put(tmp_path / "y/a.png")
    refused(dry("x/a.png", "y/a.png", "-o", "out.png"), "one file")


def test_names_that_differ_in_case_are_one_where_the_file_system_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "x/A.png")
    put(tmp_path / "y/a.png")
    if not folds_case(tmp_path):
        assert "y/a.png -> out/a.png" in dry("x", "y", "-o", "out").stdout
    monkeypatch.setattr(plan, "folds_case", lambda folder: True)
    assert "y/a.png -> out/a-2.png" in dry("x", "y", "-o", "out").stdout


def test_results_that_exist_are_refused_skipped_or_replaced(tmp_path: Path) -> None:
    put(tmp_path / "in/a.png")
    put(tmp_path / "in/b.png")
    put(tmp_path / "out/a.png")
    refused(dry("in", "-o", "out"), "out/a.png exists", "--skip-existing")
    assert "1 would be made, 1 skipped" in dry("in", "-o", "out", "--skip-existing").stdout
    assert "2 would be made, 0 skipped" in dry("in", "-o", "out", "--overwrite").stdout
    refused(dry("in", "-o", "out", "--overwrite", "--skip-existing"), "exclude each other")


@pytest.mark.parametrize(
    ("output", "word"),
    [
        ("out.png", "one file"),
        ("file", "no folder"),
        ("file/deep", "file is no folder"),
        ("out.bmp", ".bmp is not written"),
        ("out.JFIF", ".jfif is not written"),
    ],
)
def test_outputs_that_cannot_be_meant_are_refused(tmp_path: Path, output: str, word: str) -> None:
    put(tmp_path / "in/a.png")
    put(tmp_path / "in/b.png")
    (tmp_path / "file").write_text("")
    refused(dry("in", "-o", output), word)


def test_a_folder_where_a_result_is_to_be_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "in/a.png")
    (tmp_path / "out/a.png").mkdir(parents=True)
    refused(dry("in", "-o", "out", "--overwrite"), "out/a.png is a folder")


def test_a_name_that_contradicts_the_format_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "a.png")
    refused(dry("a.png", "-o", "out.png", "--format", "jpeg"), "another format")


def test_a_trailing_slash_means_a_folder(tmp_path: Path) -> None:
    put(tmp_path / "a.png")
    assert "a.png -> new.png/a.png" in dry("a.png", "-o", "new.png/").stdout


@pytest.mark.parametrize(
    ("name", "image_format", "fitting"),
    [
        ("a.png", ImageFormat.PNG, "a.png"),
        ("a.JPEG", ImageFormat.JPEG, "a.JPEG"),
        ("a.PNG", ImageFormat.JPEG, "a.jpg"),
        ("a.tiff", ImageFormat.PNG, "a.png"),
        ("a.tiff", ImageFormat.TIFF, "a.tiff"),
        ("a.heic", ImageFormat.JPEG, "a.jpg"),
        ("a.GIF", ImageFormat.PNG, "a.png"),
        ("a", ImageFormat.PNG, "a.png"),
        ("1.5", ImageFormat.AVIF, "1.5.avif"),
    ],
)
def test_a_result_has_the_suffix_of_its_format(
    name: str, image_format: ImageFormat, fitting: str
) -> None:
    assert named_for(Path(name), image_format) == Path(fitting)


def test_a_file_that_appears_during_a_run_is_kept(tmp_path: Path) -> None:
    results = Results((), overwrite=False)
    results.write(tmp_path / "new/a.png", b"one")
    (tmp_path / "late.png").write_bytes(b"another program's")
    with pytest.raises(FileExistsError):
        results.write(tmp_path / "late.png", b"two")
    assert (tmp_path / "new/a.png").read_bytes() == b"one"
    assert (tmp_path / "late.png").read_bytes() == b"another program's"
    assert sorted(os.listdir(tmp_path)) == ["late.png", "new"]


def test_no_result_replaces_another_one_of_the_run(tmp_path: Path) -> None:
    (tmp_path / "old.png").write_bytes(b"old")
    results = Results((), overwrite=True)
    results.write(tmp_path / "old.png", b"one")
    with pytest.raises(FileExistsError):
        results.write(tmp_path / "old.png", b"two")
    assert (tmp_path / "old.png").read_bytes() == b"one"


def test_file_systems_without_hard_links_get_results_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    results = Results((), overwrite=False)
    results.write(tmp_path / "a.png", b"one")
    (tmp_path / "b.png").write_bytes(b"old")
    with pytest.raises(FileExistsError):
        results.write(tmp_path / "b.png", b"two")
    contents = {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)}
    assert contents == {"a.png": b"one", "b.png": b"old"}


def test_results_have_the_permissions_of_new_files(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    Results((), overwrite=False).write(tmp_path / "a.png", b"one")
    assert (tmp_path / "a.png").stat().st_mode == (tmp_path / "usual").stat().st_mode
