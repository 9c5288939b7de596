"""Commands that read a file: a wrong one is answered with one sentence, and nothing is left."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from typer.testing import CliRunner, Result

from cli.main import app
from models.architectures.registry import build_network
from models.network_file import SPEC_KEY, save_network
from models.spec import NetworkSpec
from models.whole_file import folder_for

ARGS = {"channels": 8, "blocks": 1, "basis": 3, "widths": [4, 8]}
SPEC = NetworkSpec("conditioned", ARGS)
CONFIG = """
[network]
name = "conditioned"
args = { channels = 8, blocks = 1, basis = 3, widths = [4, 8] }
[sampling]
batch = 1
patch = 16
[training]
steps = 2
validation_images = 1
"""
SRNO = {
    "encoder": {"name": "edsr", "args": {"channels": 8, "blocks": 1}},
    "head": {"name": "srno", "args": {"heads": 0}},
}


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments], env={"COLUMNS": "300"})


def one_sentence(result: Result, *words: str) -> None:
    """Assert that a command ended with one sentence, behind its usage where that is wrong."""
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code in (1, 2)
    lines = [line for line in result.stderr.splitlines() if line]
    if lines[0].startswith("Usage: "):
        assert result.exit_code == 2
        lines = lines[2:]
    assert len(lines) == 1, result.stderr
    for word in words:
        assert word in lines[0]


def weights(header: object = None, **changed: torch.Tensor | None) -> bytes:
    """Return a weights file with another header, or with some tensors changed or missing."""
    described = {"name": SPEC.name, "args": ARGS} if header is None else header
    text = described if isinstance(described, str) else json.dumps(described)
    tensors = build_network(SPEC).state_dict()
    for name, tensor in changed.items():
        tensors[name.replace("__", ".")] = tensor
    kept = {name: t.contiguous() for name, t in tensors.items() if t is not None}
    path = Path("made.safetensors")
    save_file(kept, path, metadata={SPEC_KEY: text})
    content = path.read_bytes()
    path.unlink()
    return content


def of(args: object, name: object = "conditioned") -> Mapping[str, object]:
    return {"name": name, "args": args}


def without_header() -> bytes:
    save_file(build_network(SPEC).state_dict(), "made.safetensors")
    content = Path("made.safetensors").read_bytes()
    Path("made.safetensors").unlink()
    return content


WRONG: Mapping[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "text": lambda: b"no weights\n" * 20,
    "cut off": lambda: weights()[:500],
    "a header larger than the file": lambda: struct.pack("<Q", 1 << 62) + bytes(100),
    "no header of ours": without_header,
    "a header that is no JSON": lambda: weights("{nope"),
    "a header that is a list": lambda: weights([1]),
    "a header without a name": lambda: weights({"args": {}}),
    "a header without end": lambda: weights("[" * 100_000),
    "an unknown network": lambda: weights(of({}, "esrgan")),
    "a list for a name": lambda: weights(of({}, ["conditioned"])),
    "a list for arguments": lambda: weights(of([1])),
    "an unknown argument": lambda: weights(of({**ARGS, "chanels": 8})),
    "text for a size": lambda: weights(of({**ARGS, "channels": "8"})),
    "a huge size": lambda: weights(of({**ARGS, "channels": 8 * 10**8})),
    "many blocks": lambda: weights(of({**ARGS, "blocks": 60_000})),
    "no width": lambda: weights(of({**ARGS, "widths": []})),
    "zero heads": lambda: weights(of(SRNO, "composed")),
    "a number for an encoder": lambda: weights(of({**SRNO, "encoder": 3}, "composed")),
    "another network": lambda: weights(of({**ARGS, "channels": 16, "widths": [16]})),
    "a missing tensor": lambda: weights(entry__weight=None),
    "one tensor more": lambda: weights(x=torch.zeros(3)),
    "a scalar for a matrix": lambda: weights(entry__weight=torch.tensor(1.0)),
    "whole numbers": lambda: weights(entry__bias=torch.zeros(8, dtype=torch.int64)),
    "complex numbers": lambda: weights(entry__bias=torch.zeros(8, dtype=torch.complex64)),
    "no numbers": lambda: weights(entry__bias=torch.full((8,), torch.nan)),
    "text for scales": lambda: weights({**of(ARGS), "trained_scales": "big"}),
    "falling scales": lambda: weights({**of(ARGS), "trained_scales": [9, 2]}),
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with photographs, good ones and wrong ones, a config and a file."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for folder, count in (("photos", 3), ("one", 1), ("broken", 2)):
        Path(folder).mkdir()
        for number in range(count):
            pixels = random.integers(0, 256, (80, 90, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(f"{folder}/{number}.png")
    Path("broken/1.png").write_bytes(Path("photos/0.png").read_bytes()[:3000])
    Path("empty").mkdir()
    Path("file").write_text("no folder")
    Path("good.toml").write_text(CONFIG)


@pytest.mark.parametrize("kind", WRONG)
def test_wrong_weights(kind: str) -> None:
    Path("w.safetensors").write_bytes(WRONG[kind]())
    before = sorted(os.listdir())
    export = ("--name", "a", "--description", "A test.", "--folder", "models")
    train = ("--data", "photos", "--output", "run", "--device", "cpu")
    one_sentence(run("export", "w.safetensors", *export), "w.safetensors")
    one_sentence(run("evaluate", "w.safetensors", "--data", "photos"), "w.safetensors")
    one_sentence(run("convert", "w.safetensors", "x.pt"), "Conversion failed: w.safetensors")
    one_sentence(run("train", "good.toml", *train, "--grow-from", "w.safetensors"), "w.safetensors")
    assert sorted(os.listdir()) == before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("steps = 2", "steps = 'two'"), "steps in [training] must be a whole number"),
        (("steps = 2", "steps = 2.5"), "steps in [training] must be a whole number"),
        (("steps = 2", "steps = 0"), "steps must be at least 1"),
        (("steps = 2", ""), "[training] needs steps"),
        (("steps = 2", "steps = 2\nlearning_rate = nan"), "learning_rate in [training]"),
        (("steps = 2", "steps = 2\npatch_stages = [[0]]"), "patch_stages in [training]"),
        (("batch = 1", "batch = 0"), "batch must be at least 1"),
        (("batch = 1", "batch = 1\nanchors = [0.5]"), "anchors must be scales"),
        (("patch = 16", "patch = [16]"), "patch in [sampling]"),
        (("patch = 16", "path = 16"), "no setting 'path'"),
        (("[network]", "[net]"), "no table [network]"),
        (("[network]", "[network"), "wrong.toml"),
        (("conditioned", "esrgan"), "unknown network 'esrgan'"),
        (('"conditioned"', "['conditioned']"), "name in [network] must be a text"),
        (("channels = 8", "chanels = 8"), "chanels"),
        (("channels = 8", "channels = '8'"), "no network"),
        (("blocks = 1", "blocks = 50000"), "would have more than"),
    ],
)
def test_wrong_configs(change: tuple[str, str], words: str) -> None:
    Path("wrong.toml").write_text(CONFIG.replace(*change))
    result = run("train", "wrong.toml", "--data", "photos", "--output", "run")
    one_sentence(result, words)
    assert not Path("run").exists()


def test_a_config_that_is_no_text() -> None:
    Path("wrong.toml").write_bytes(b"\xff\xfe\0")
    one_sentence(run("train", "wrong.toml", "--data", "photos", "--output", "run"), "wrong.toml")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--data nowhere --output run", "no folder nowhere"),
        ("--data empty --output run", "no image in empty"),
        ("--data one --output run", "held out for validation"),
        ("--data broken --validation one --output run", "broken/1.png is no picture"),
        ("--data photos --output file", "file: File exists"),
        ("--data photos --output file/run", "file/run: Not a directory"),
        ("--data photos --output run --device tpu", "--device must be cpu, cuda or auto"),
        ("--data photos --output run --grow-from photos", "photos: Is a directory"),
    ],
)
def test_wrong_arguments_of_a_training(arguments: str, words: str) -> None:
    one_sentence(run("train", "good.toml", *arguments.split()), words)
    assert not Path("run").exists()


@pytest.mark.parametrize(
    "content", ["", "{}", "[]", '{"pieces": 3}', '{"pieces": ["../x"]}', '{"pieces": ["none"]}']
)
def test_a_damaged_training_state(content: str) -> None:
    Path("run").mkdir()
    Path("run/state.json").write_text(content)
    one_sentence(run("train", "good.toml", "--data", "photos", "--output", "run"), "run")
    assert os.listdir("run") == ["state.json"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("evaluate bicubic --data nowhere", "no folder nowhere"),
        ("evaluate bicubic --data empty", "no image in empty"),
        ("evaluate bicubic --data broken --scales 2", "broken/1.png is no picture"),
        ("evaluate bicubic --data photos --scales 0", "--scales must be"),
        ("evaluate bicubic --data photos --json nowhere/x.json", "no folder"),
        ("evaluate anysr-xs --data photos --widths 0.3", "none of these --widths"),
        ("evaluate bicubic --data photos --record X", "no model bicubic"),
        ("evaluate anysr-xs --data photos --models file", "file/catalog.json"),
        ("quantise nothing --data photos", "no model nothing"),
        ("quantise anysr-s --data empty", "no image in empty"),
        ("quantise anysr-s --data broken", "broken/1.png is no picture"),
        ("calibrate --models nowhere", "nowhere/catalog.json"),
        ("calibrate --output photos", "photos is a folder"),
        ("simulate --costs file", "holds no costs"),
        ("simulate --costs deep.json", "holds no costs"),
        ("simulate --trace huge.csv", "line 2: width is 1e300"),
        ("simulate --trace photos", "photos"),
        ("simulate --plot nowhere/x.png", "no folder"),
        ("models --folder file", "file/catalog.json"),
        ("convert nowhere.pt x.safetensors", "nowhere.pt: No such file"),
        ("convert photos x.safetensors", "photos: Is a directory"),
        ("bench model --models nothing", "no model nothing"),
        ("bench load --url nonsense", "nonsense cannot be reached"),
        ("bench load --load 2 --callers 3", "--load is a rate of this service"),
        ("bench load --load-of anysr-m", "'anysr-m' is not MODEL@WIDTH"),
        ("bench rivals --loads 1,x", "--loads: could not convert"),
    ],
)
def test_wrong_arguments(arguments: str, words: str) -> None:
    Path("deep.json").write_text("[" * 100_000)
    Path("huge.csv").write_text("arrival_ms,width\n1,1e300\n")
    before = sorted(os.listdir())
    one_sentence(run(*arguments.split()), words)
    assert sorted(os.listdir()) == before


LIIF = {
    "encoder": {"name": "edsr", "args": {"channels": 4, "blocks": 1}},
    "head": {"name": "liif", "args": {"hidden": 8, "layers": 1}},
}


@pytest.mark.parametrize(
    ("target", "words"), [("nowhere/x.pt", "nowhere/x.pt"), ("photos", "photos"), ("file/x", "x")]
)
def test_a_conversion_to_a_wrong_place_leaves_nothing(target: str, words: str) -> None:
    spec = NetworkSpec("composed", LIIF)
    save_network(Path("w.safetensors"), spec, build_network(spec))
    before = sorted(Path().rglob("*"))
    one_sentence(run("convert", "w.safetensors", target), "Conversion failed", words)
    assert sorted(Path().rglob("*")) == before
    assert run("convert", "w.safetensors", "x.pt").exit_code == 0
    Path("photos").rename("photos.safetensors")
    before = sorted(Path().rglob("*"))
    one_sentence(run("convert", "x.pt", f"{target}.safetensors"), "Conversion failed", words)
    assert sorted(Path().rglob("*")) == before


def test_a_failed_export_leaves_the_model_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    save_network(Path("w.safetensors"), SPEC, build_network(SPEC))
    Path("models").mkdir()
    before = dict.fromkeys(("a.safetensors", "a-8.onnx"), b"of an earlier export")
    for name, content in before.items():
        Path("models", name).write_bytes(content)
    monkeypatch.setattr("models.export.TOLERANCE", -1.0)
    export = ("export", "w.safetensors", "--name", "a", "--description", "A test.")
    one_sentence(run(*export, "--folder", "models", "--widths", "1"), "Export failed")
    assert {path.name: path.read_bytes() for path in Path("models").iterdir()} == before


def test_a_new_folder_without_a_file_is_removed() -> None:
    with pytest.raises(KeyError), folder_for(Path("new")):
        raise KeyError
    with pytest.raises(KeyError), folder_for(Path("photos")):
        raise KeyError
    assert not Path("new").exists()
    assert len(os.listdir("photos")) == 3


@pytest.mark.parametrize("name", ["../a", "a/b", "."])
def test_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    save_network(Path("w.safetensors"), SPEC, build_network(SPEC))
    export = ("--description", "A test.", "--folder", "models")
    one_sentence(run("export", "w.safetensors", "--name", name, *export), "name")
    assert not Path("models").exists()
