"""`anysr add`: what it finds of drawn graphs, and the sentence for each that cannot be served."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from typer.testing import CliRunner, Result

from cli.main import app
from models.adapters.record import Adapter
from models.catalog import CATALOG_FILE, ModelEntry, describe, read_catalog
from tests.support.foreign_graphs import (
    Graph,
    attending,
    cropping,
    repeat,
    saved,
    shuffled,
    unshuffled,
)
from tests.workers.model_folder import SMALL, small_folder


def add(graph: Path, folder: Path, *options: object, name: str = "new") -> Result:
    command = ["add", graph, "--name", name, "--folder", folder, *options]
    return CliRunner().invoke(app, list(map(str, command)), env={"COLUMNS": "300"})


def added(model: onnx.ModelProto, tmp_path: Path, *options: object) -> tuple[ModelEntry, Adapter]:
    """Add a graph, and return its entry and adapter."""
    result = add(saved(model, tmp_path / "new.onnx"), tmp_path / "models", *options)
    assert result.exit_code == 0, result.output
    entry = read_catalog(tmp_path / "models").get("new")
    assert entry.adapter is not None
    return entry, entry.adapter


def test_a_plain_network_is_found_as_it_was_drawn(tmp_path: Path) -> None:
    entry, adapter = added(shuffled(2, reach=3), tmp_path)
    assert (entry.fixed_scale, entry.min_scale, entry.max_scale) == (2, 1.0, 8.0)
    assert (adapter.scale, adapter.multiple, adapter.crop) == (2, 1, 0)
    assert (adapter.range, adapter.output_range, adapter.colours.value) == (1.0, 1.0, "rgb")
    assert (adapter.height, adapter.width, adapter.half) == (None, None, False)
    assert entry.halo == 3 + 4  # its reach, and that of resampling
    assert 0 < entry.rim <= 4
    assert adapter.parameters == 3 * 3 * 49 + 12 * 3
    assert not entry.in_ladder
    graph = tmp_path / "models" / entry.widths[0].onnx.file
    assert describe(graph) == entry.widths[0].onnx
    assert sorted(path.name for path in (tmp_path / "models").iterdir()) == sorted(
        [CATALOG_FILE, graph.name]
    )


@pytest.mark.parametrize(
    ("model", "options", "expected"),
    [
        (shuffled(4, offset=2.0), (), {"scale": 4, "range": 255, "output_range": 255}),
        (unshuffled(2, 4), ("--colours", "bgr"), {"multiple": 4, "colours": "bgr", "range": 255}),
        (unshuffled(3, 6), (), {"scale": 3, "multiple": 6}),
        (shuffled(2, sides=(64, 64)), (), {"height": 64, "width": 64, "overlap": 2}),
        (shuffled(2, sides=("h", 48)), (), {"height": None, "width": 48}),
        (cropping(2, 7), (), {"scale": 2, "crop": 14}),
        (shuffled(3, channels=1), (), {"scale": 3, "colours": "y"}),
        (shuffled(2, half=True), (), {"half": True}),
        (shuffled(2), ("--mean", "0.4,0.5,0.6", "--std", "0.2"), {"mean": [0.4, 0.5, 0.6]}),
    ],
)
def test_what_a_graph_needs_is_found(
    tmp_path: Path, model: onnx.ModelProto, options: tuple[str, ...], expected: dict[str, Any]
) -> None:
    if "bgr" in options:
        model = unshuffled(2, 4, swapped=True)
    entry, adapter = added(model, tmp_path, *options)
    found = adapter.model_dump(mode="json")
    assert {name: found[name] for name in expected} == expected
    assert entry.halo is not None


def test_a_network_that_sees_everything_is_not_local(tmp_path: Path) -> None:
    entry, _ = added(attending(2), tmp_path)
    assert entry.halo is None


def test_a_graph_that_declares_any_size_and_accepts_one(tmp_path: Path) -> None:
    """As exports often are whose maker named the axes, with sizes of one picture inside."""
    graph = Graph((1, 3, "h", "w"))
    graph.then("Reshape", graph.weight([1, 3, 64, 64], np.int64)).convolve(repeat(3, 2), 0)
    model = graph.then("DepthToSpace", blocksize=2, mode="CRD").model()
    refused = add(saved(model, tmp_path / "new.onnx"), tmp_path / "models")
    assert "Its outputs have no size of a whole scale" in refused.stderr
    _, adapter = added(model, tmp_path, "--height", "64", "--width", "64")
    assert (adapter.height, adapter.width, adapter.scale) == (64, 64, 2)


def test_one_of_several_outputs_is_named(tmp_path: Path) -> None:
    model = shuffled(2)
    model.graph.output.append(helper.make_tensor_value_info("t0", TensorProto.FLOAT, None))
    graph = saved(model, tmp_path / "two.onnx")
    result = add(graph, tmp_path / "models")
    assert result.exit_code == 1
    assert "It has 2 outputs (output, t0); name one with --output-name." in result.output
    assert add(graph, tmp_path / "models", "--output-name", "output").exit_code == 0


def external(model: onnx.ModelProto, location: str, data: Path | None = None) -> onnx.ModelProto:
    """Move the first weight of a graph to another file."""
    tensor = model.graph.initializer[0]
    content = numpy_helper.to_array(tensor).tobytes()
    if data is not None:
        data.parent.mkdir(parents=True, exist_ok=True)
        data.write_bytes(b"\0" * 16 + content)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    place = {"location": location, "offset": "16", "length": str(len(content))}
    for key, value in place.items():
        tensor.external_data.add(key=key, value=value)
    return model


def test_weights_beside_the_graph_are_taken_into_it(tmp_path: Path) -> None:
    model = external(shuffled(2), "sub/weights.bin", tmp_path / "sub" / "weights.bin")
    entry, _ = added(model, tmp_path)
    kept = onnx.load(tmp_path / "models" / entry.widths[0].onnx.file, load_external_data=False)
    assert [t.data_location for t in kept.graph.initializer] == [TensorProto.DEFAULT] * 2
    original = shuffled(2).graph.initializer[0]
    assert np.array_equal(
        numpy_helper.to_array(kept.graph.initializer[0]), numpy_helper.to_array(original)
    )


def endless() -> onnx.ModelProto:
    """A loop whose condition always holds."""
    info = helper.make_tensor_value_info
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["going"], ["goes"]),
            helper.make_node("Sin", ["value"], ["sine"]),
        ],
        "body",
        [
            info("count", TensorProto.INT64, []),
            info("going", TensorProto.BOOL, []),
            info("value", TensorProto.FLOAT, None),
        ],
        [info("goes", TensorProto.BOOL, []), info("sine", TensorProto.FLOAT, None)],
    )
    graph = Graph((1, 3, "h", "w"))
    many = graph.weight(2**62, np.int64)
    yes = graph.weight(True, np.bool_)
    graph.nodes.append(helper.make_node("Loop", [many, yes, "input"], ["looped"], body=body))
    graph.last = "looped"
    return graph.convolve(repeat(3, 2), 0).then("DepthToSpace", blocksize=2).model()


def huge() -> onnx.ModelProto:
    """A constant of 4 TB, added to the picture."""
    graph = Graph((1, 3, "h", "w"))
    size = graph.weight([10**12], np.int64)
    graph.nodes.append(helper.make_node("ConstantOfShape", [size], ["large"]))
    graph.nodes.append(helper.make_node("ReduceMax", ["large"], ["zero"], keepdims=0))
    graph.then("Add", "zero").convolve(repeat(3, 2), 0)
    return graph.then("DepthToSpace", blocksize=2).model()


def custom() -> onnx.ModelProto:
    model = shuffled(2)
    model.graph.node[0].domain = "evil.example"
    model.opset_import.append(helper.make_opsetid("evil.example", 1))
    return model


def shaped(*shape: int | str, kind: Any = TensorProto.FLOAT) -> Callable[[], onnx.ModelProto]:
    """A graph that returns an input of any shape and type."""

    def model() -> onnx.ModelProto:
        same = Graph(())
        same.kind = kind
        changed = same.model()
        given = helper.make_tensor_value_info("input", kind, list(shape) or None)
        changed.graph.input[0].CopyFrom(given)
        return changed

    return model


def two_inputs() -> onnx.ModelProto:
    model = shuffled(2)
    model.graph.input.append(helper.make_tensor_value_info("sigma", TensorProto.FLOAT, [1]))
    model.graph.node[0].input[0] = "input"
    return model


def not_a_number() -> onnx.ModelProto:
    graph = Graph((1, 3, "h", "w"))
    graph.then("Add", graph.weight(-1e9)).then("Sqrt").convolve(repeat(3, 2), 0)
    return graph.then("DepthToSpace", blocksize=2).model()


def half_again() -> onnx.ModelProto:
    graph = Graph((1, 3, "h", "w"))
    scales = graph.weight([1, 1, 1.5, 1.5], np.float32)
    graph.nodes.append(
        helper.make_node("Resize", ["input", "", scales], ["larger"], mode="nearest")
    )
    graph.last = "larger"
    return graph.model()


def inverted() -> onnx.ModelProto:
    graph = Graph((1, 3, "h", "w"))
    graph.then("Neg").then("Add", graph.weight(1.0)).convolve(repeat(3, 2), 0)
    return graph.then("DepthToSpace", blocksize=2).model()


def outside() -> onnx.ModelProto:
    return external(shuffled(2), "../secret.bin")


def absolute() -> onnx.ModelProto:
    return external(shuffled(2), "/etc/hostname")


def beyond() -> onnx.ModelProto:
    model = external(shuffled(2), "hostile.onnx")
    model.graph.initializer[0].external_data[1].value = "9999999999"
    return model


HOSTILE: list[tuple[Callable[[], onnx.ModelProto], str]] = [
    (outside, "Its weights lie in '../secret.bin', outside the folder of the graph."),
    (absolute, "Its weights lie in '/etc/hostname', outside the folder of the graph."),
    (beyond, "Its weights lie beyond the end of hostile.onnx."),
    (custom, "It needs the operator evil.example.Conv, which ONNX Runtime has not."),
    (shaped(), "Its input has the shape of any rank, which is not N x C x H x W."),
    (shaped(1, 3, 64), "Its input has the shape [1, 3, 64], which is not N x C x H x W."),
    (shaped(1, "h", "w", 3), "N x H x W x C; it must be N x C x H x W."),
    (shaped(1, 4, "h", "w"), "Its input has 4 channels; it must have 3, or 1 for luma."),
    (shaped(8, 3, "h", "w"), "Its input is 8 pictures at once; it must be one."),
    (shaped(1, 3, "h", "w", kind=TensorProto.INT64), "tensor(int64); it must be float or float16"),
    (two_inputs, "It has 2 inputs (input, sigma); only one can be given: pictures."),
    (not_a_number, "The graph made NaN or infinity of a picture."),
    (half_again, "Its outputs have no size of a whole scale from 2 to 8: of 41 x 43 pixels"),
    (inverted, "are expected of an upscaler: state --range"),
    (huge, "Its outputs have no size of"),
]


@pytest.mark.parametrize(("model", "sentence"), HOSTILE)
def test_a_graph_that_cannot_be_served_gets_one_sentence(
    tmp_path: Path, model: Callable[[], onnx.ModelProto], sentence: str
) -> None:
    (tmp_path / "secret.bin").write_bytes(b"secret" * 1000)
    graph = saved(model(), tmp_path / "graphs" / "hostile.onnx")
    result = add(graph, tmp_path / "models")
    assert result.exit_code == 1, result.output
    [line] = result.stderr.splitlines()
    assert line.startswith(f"{graph} cannot be served. ")
    assert sentence in line
    assert list((tmp_path / "models").iterdir()) == []


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.bin").write_bytes(b"secret" * 1000)
    graph = saved(external(shuffled(2), "here.bin"), tmp_path / "graphs" / "linked.onnx")
    (graph.parent / "here.bin").symlink_to("../secret.bin")
    result = add(graph, tmp_path / "models")
    assert "outside the folder of the graph" in result.stderr


def test_a_loop_without_end_is_ended(tmp_path: Path) -> None:
    graph = saved(endless(), tmp_path / "endless.onnx")
    result = add(graph, tmp_path / "models", "--seconds", "4")
    assert result.exit_code == 1
    assert "It was not done within 4 s" in result.stderr


@pytest.mark.parametrize(
    "content", [b"", b"no graph at all", b"\x08\x07", shuffled(2).SerializeToString()[:-40]]
)
def test_a_file_that_is_no_graph(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "damaged.onnx").write_bytes(content)
    result = add(tmp_path / "damaged.onnx", tmp_path / "models")
    assert result.exit_code == 1
    assert "damaged.onnx is no ONNX file" in result.stderr


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("a/b", (), "1 to 64 letters"),
        ("lanczos", (), "not be lanczos"),
        (SMALL, (), "is a model of another kind"),
        ("new", ("--mean", "red"), "--mean must be one number"),
        ("new", ("--scale", "9"), "--scale"),
    ],
)
def test_wrong_options_are_refused_before_any_test(
    tmp_path: Path, name: str, options: tuple[str, ...], sentence: str
) -> None:
    folder = small_folder(tmp_path / "models", SMALL)
    graph = saved(shuffled(2), tmp_path / "new.onnx")
    before = (folder / CATALOG_FILE).read_bytes()
    result = add(graph, folder, *options, name=name)
    assert result.exit_code == 2
    assert sentence in " ".join(result.stderr.split())
    assert (folder / CATALOG_FILE).read_bytes() == before


def test_files_and_folders_that_cannot_be_read(tmp_path: Path) -> None:
    graph = saved(shuffled(2), tmp_path / "new.onnx")
    missing = add(tmp_path / "none.onnx", tmp_path / "models")
    assert (missing.exit_code, "there is no file" in missing.stderr) == (2, True)
    at_a_file = add(graph, graph)
    assert (at_a_file.exit_code, "cannot write to" in at_a_file.stderr) == (2, True)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / CATALOG_FILE).write_text("{")
    broken = add(graph, tmp_path / "broken")
    assert (broken.exit_code, "not a valid catalog" in broken.stderr) == (2, True)


def test_a_stated_scale_must_be_the_graph_s(tmp_path: Path) -> None:
    result = add(saved(shuffled(2), tmp_path / "new.onnx"), tmp_path / "models", "--scale", "3")
    assert "no size of x3: of 41 x 43 pixels it makes 82 x 86" in result.stderr


def test_a_new_version_replaces_the_old_one(tmp_path: Path) -> None:
    first, _ = added(shuffled(2), tmp_path)
    second, adapter = added(shuffled(3), tmp_path, "--ladder", "--on-demand")
    assert adapter.scale == 3
    assert (second.in_ladder, second.on_demand) == (True, True)
    assert first.widths[0].onnx.file != second.widths[0].onnx.file
    assert json.loads((tmp_path / "models" / CATALOG_FILE).read_text())["default"] == "new"


def test_it_is_measured_recorded_and_listed(tmp_path: Path) -> None:
    """As `anysr evaluate --record` and `anysr models` do with any model."""
    entry, adapter = added(shuffled(2), tmp_path, "--ladder")
    assert not entry.chosen_freely
    photographs = tmp_path / "B100"
    photographs.mkdir()
    for seed in range(2):
        pixels = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
        image = Image.fromarray(pixels).resize((90, 80), Image.Resampling.BICUBIC)
        image.save(photographs / f"{seed}.png")
    command = ["evaluate", "new", "--models", tmp_path / "models", "--data", photographs]
    command += ["--scales", "2,2.5,3", "--record", "B100", "--threads", "1"]
    result = CliRunner().invoke(app, list(map(str, command)))
    assert result.exit_code == 0, result.output
    measured = read_catalog(tmp_path / "models").get("new")
    assert [row.scale for row in measured.quality] == [2.0, 2.5, 3.0]
    assert all(row.psnr_y > 25 for row in measured.quality)
    assert measured.chosen_freely
    assert measured.adapter == adapter
    listed = CliRunner().invoke(app, ["models", "new", "--folder", str(tmp_path / "models")])
    assert f"{adapter.parameters:,}" in listed.output
    assert "2, resampled to 1-8" in listed.output
    (tmp_path / "models" / measured.weights.file).write_bytes(b"damaged")
    broken = CliRunner().invoke(app, list(map(str, command)), env={"COLUMNS": "300"})
    assert (broken.exit_code, "differs from its checksum" in broken.stderr) == (2, True)
