"""Foreign graphs as workers run them: scales, tiles, grey, transparency, memory, interrupts."""

from __future__ import annotations

import functools
import json
import shutil
import threading
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto
from onnx.reference import ReferenceEvaluator
from skimage import data

from images.picture import FloatArray, PictureKind
from images.plane_resampling import lanczos
from models.adapters.enlarging import WrongOutput
from models.adapters.record import Colours
from models.catalog import SHIPPED, ModelEntry, describe, read_catalog
from models.geometry import axis_grid, output_size
from models.network_file import load_network
from models.probing.probe import Stated
from scheduling.tiling import Tiling, tiling_of
from scheduling.work import work_of
from tests.support.foreign_graphs import (
    add_in_process,
    attending,
    cropping,
    saved,
    shuffled,
    unshuffled,
)
from tests.support.waiting import PATIENCE_S
from tests.workers.workbench import a_job, in_tiles, picture_of
from workers.calibration import measure_networks
from workers.loaded_model import LoadedModel, load
from workers.memory import tile_bytes
from workers.model_loader import ModelLoader
from workers.runtimes.adapter import AdapterSession
from workers.runtimes.base import Interrupted, Interruptible, Releasing
from workers.settings import WorkerSettings
from workers.upscale import Engine, upscale

SETTINGS = WorkerSettings(worker_threads=1)
LEVEL = 1 / 255
GRAPHS: dict[str, tuple[Callable[[], onnx.ModelProto], Stated]] = {
    "plain": (lambda: shuffled(2), Stated()),
    "x4 to 255": (lambda: shuffled(4, offset=2.0), Stated()),
    "bgr of 4": (lambda: unshuffled(2, 4, swapped=True), Stated(colours=Colours.BGR)),
    "of 64 x 64": (lambda: shuffled(2, sides=(64, 64)), Stated()),
    "48 wide": (lambda: shuffled(3, reach=5, sides=("h", 48)), Stated()),
    "cropping": (lambda: cropping(2, 7), Stated()),
    "luma": (lambda: shuffled(3, channels=1), Stated()),
    "half": (lambda: shuffled(2, half=True), Stated()),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with every graph."""
    place = tmp_path_factory.mktemp("models")
    for name, (model, stated) in GRAPHS.items():
        add_in_process(place, name, model(), stated)
    return place


@pytest.fixture(scope="module")
def loaded(folder: Path) -> Callable[[str], LoadedModel]:
    return functools.cache(lambda name: load(folder, read_catalog(folder).get(name), SETTINGS))


def crop(height: int, width: int) -> FloatArray:
    part = data.astronaut()[20 : 20 + height, 140 : 140 + width]
    return np.moveaxis(part.astype(np.float32) / np.float32(255), 2, 0)


def enlarged(
    engine: Engine | None, colour: FloatArray, *scales: float, alpha: FloatArray | None = None
) -> FloatArray:
    """Return a picture of planes at a scale, or two of the sides: [C, Y, X] in [0, 1]."""
    kind = PictureKind.GREY if len(colour) == 1 else PictureKind.COLOUR
    height, width = (output_size(n, s) for n, s in zip(colour.shape[1:], 2 * scales, strict=False))
    source = picture_of(colour, alpha, kind)
    made = upscale(source, height, width, engine, lambda part: None).picture
    return np.moveaxis(made.pixels.samples.astype(np.float32) / np.float32(65535), 2, 0)


@pytest.mark.parametrize("name", GRAPHS)
def test_every_scale_resembles_plain_resampling(
    loaded: Callable[[str], LoadedModel], name: str
) -> None:
    """Wrong numbers or places would be further away than a picture that is a little sharper."""
    engine, colour = loaded(name).at(1.0), crop(61, 83)
    for scales in ((1.01,), (1.37,), (2.0,), (2.37,), (3.0,), (4.0,), (8.0,), (1.2, 5.3)):
        made, plain = enlarged(engine, colour, *scales), enlarged(None, colour, *scales)
        assert made.shape == plain.shape
        # One of them dampens red by a tenth.
        assert np.abs(made - plain).mean() < 10 * LEVEL


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 3), (2, 70)])
def test_the_smallest_pictures(
    loaded: Callable[[str], LoadedModel], name: str, size: tuple[int, int]
) -> None:
    colour = crop(*size)
    for scale in (1.5, 2.0, 8.0):
        made = enlarged(loaded(name).at(1.0), colour, scale)
        assert made.shape[1:] == tuple(output_size(side, scale) for side in size)
        assert np.abs(made.mean((1, 2)) - colour.mean((1, 2))).max() < 30 * LEVEL


def test_a_graph_that_counts_blue_first_gets_blue_first(
    loaded: Callable[[str], LoadedModel],
) -> None:
    """It takes a tenth of what comes third, which is red."""
    flat = np.full((3, 32, 32), 0.6, np.float32)
    flat[1] = 0.59  # not grey: that is run as one plane
    red, green, blue = enlarged(loaded("bgr of 4").at(1.0), flat, 2.0).mean((1, 2))
    assert red / blue == pytest.approx(0.9, abs=0.02)
    assert green / blue == pytest.approx(0.59 / 0.6, abs=0.02)


@pytest.mark.parametrize("name", GRAPHS)
@settings(max_examples=8, deadline=None)
@given(
    size=st.tuples(st.integers(150, 170), st.integers(150, 190)),
    scales=st.tuples(st.floats(1.1, 5.0), st.floats(1.1, 5.0)),
    parts=st.integers(2, 3),  # no strip is narrower than LEAST_SIDE
)
def test_tiles_equal_the_whole(
    loaded: Callable[[str], LoadedModel],
    name: str,
    size: tuple[int, int],
    scales: tuple[float, float],
    parts: int,
) -> None:
    engine, colour = loaded(name).at(1.0), crop(*size)
    cut = in_tiles(engine, pixels=size[0] * size[1] // parts)
    whole, tiled = (enlarged(one, colour, *scales) for one in (engine, cut))
    # float16 sums in another order for another size, with errors of half a level each. What a graph
    # pads beyond the picture's rim may be seen at its edge, and depends on the window.
    assert np.abs(whole - tiled).max() <= (2 if name == "half" else 1) * LEVEL


def test_at_its_own_scale_nothing_is_resampled(loaded: Callable[[str], LoadedModel]) -> None:
    """Each output pixel is that of the graph, run on the picture and its rim."""
    served, colour = loaded("plain"), crop(20, 30)
    rim = served.entry.rim
    around = np.pad(colour, ((0, 0), (rim, rim), (rim, rim)), mode="symmetric")[None]
    larger = np.asarray(ReferenceEvaluator(shuffled(2)).run(None, {"input": around}))
    expected = larger[0, 0, :, 2 * rim : -2 * rim, 2 * rim : -2 * rim]
    made = enlarged(served.at(1.0), colour, 2.0)
    assert np.abs(made - np.clip(expected, 0, 1)).max() < 1e-4


@pytest.mark.parametrize("scale", [1.5, 2.37, 4.0])
def test_other_scales_are_lanczos_of_the_graph_s_output(
    loaded: Callable[[str], LoadedModel], scale: float
) -> None:
    served, colour = loaded("plain"), crop(40, 52)
    own = enlarged(served.at(1.0), colour, 2.0)
    sides = [output_size(side, scale) for side in colour.shape[1:]]
    expected = np.stack([lanczos(plane, sides[0], sides[1]) for plane in own])
    made = enlarged(served.at(1.0), colour, scale)
    inside = slice(12, -12)  # the graph's own output has no edge, its copy here does
    difference = np.abs(made - expected)[:, inside, inside]
    assert difference.max() < 2 * LEVEL  # overshoots are clipped once, not twice
    assert difference.mean() < 0.02 * LEVEL


def test_scale_1_changes_nothing(loaded: Callable[[str], LoadedModel]) -> None:
    colour = crop(20, 30)
    assert np.allclose(enlarged(loaded("plain").at(1.0), colour, 1.0), colour, atol=1e-4)


@pytest.mark.parametrize("name", ["plain", "bgr of 4", "luma"])
def test_grey_stays_grey_and_transparency_is_kept(
    loaded: Callable[[str], LoadedModel], name: str
) -> None:
    engine = loaded(name).at(1.0)
    grey = crop(24, 40).mean(axis=0, keepdims=True)
    made = enlarged(engine, grey, 2.37)
    assert made.shape == (1, 57, 95)
    assert np.abs(made - enlarged(None, grey, 2.37)).mean() < 10 * LEVEL
    alpha = np.ones((24, 40), np.float32)
    alpha[:, :11] = 0
    hidden = crop(24, 40)
    hidden[:, :, :11] = 0
    shown = enlarged(engine, hidden, 2.37, alpha=alpha)
    plain = enlarged(None, hidden, 2.37, alpha=alpha)
    assert np.array_equal(shown[3], plain[3])
    assert np.abs(shown[:3, :, 27:] - plain[:3, :, 27:]).mean() < 12 * LEVEL


@pytest.mark.parametrize("name", ["plain", "of 64 x 64", "cropping"])
def test_flat_colours_stay_flat_at_the_edge(
    loaded: Callable[[str], LoadedModel], name: str
) -> None:
    flat = np.broadcast_to(np.array([0.9, 0.2, 0.4], np.float32)[:, None, None], (3, 33, 41))
    for scale in (2.0, 2.37):
        assert np.abs(enlarged(loaded(name).at(1.0), flat, scale) - flat[:, :1, :1]).max() < 0.01


def test_defian_exported_plainly_gives_what_ours_gives(tmp_path: Path) -> None:
    """The shipped x2 network as its makers would export it: its picture is the served model's."""
    ours = read_catalog(SHIPPED).get("defian-s-x2")
    network = load_network(SHIPPED / ours.weights.file)[1].requires_grad_(False)

    class Plain(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            made: torch.Tensor = network.enlarge(image)  # type: ignore[operator]
            return made

    sides = {2: "height", 3: "width"}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # that this exporter, which public files come from, is old
        torch.onnx.export(
            Plain().eval(),
            (torch.rand(1, 3, 55, 101),),
            tmp_path / "plain.onnx",
            dynamo=False,
            input_names=["lr"],
            output_names=["sr"],
            dynamic_axes={"lr": sides, "sr": sides},
        )
    entry = add_in_process(tmp_path, "defian", onnx.load(tmp_path / "plain.onnx"))
    assert entry.fixed_scale == 2
    assert entry.halo is None  # its attention reads the whole picture
    engine = load(tmp_path, entry, SETTINGS).at(1.0)
    expected = load(SHIPPED, ours, SETTINGS).at(1.0)
    same_rim = replace(engine, tiling=replace(engine.tiling, rim=ours.rim))
    colour = crop(48, 64)
    made = enlarged(same_rim, colour, 2.0)
    assert np.abs(made - enlarged(expected, colour, 2.0)).max() < 0.1 * LEVEL
    assert np.abs(made - enlarged(None, colour, 2.0)).mean() > 0.5 * LEVEL


def test_costs_are_measured_and_counted_in_patches(loaded: Callable[[str], LoadedModel]) -> None:
    served = loaded("of 64 x 64")
    [line] = measure_networks({"of 64 x 64": served}, lambda call: call()).values()
    assert line.at(work_of(a_job(), served.tiling).in_tiles()) > 0
    job = a_job(source_width=200, source_height=100, output_width=400, output_height=200)
    # Of 64 pixels, 60 are a patch's own: two patches down, four across.
    assert served.entry.adapter is not None
    assert served.entry.adapter.overlap == 2
    assert work_of(job, served.tiling).in_tiles().source_pixels == 2 * 4 * 64 * 64
    assert Tiling.from_dict(json.loads(json.dumps(served.tiling.to_dict()))) == served.tiling


def test_memory_bounds_the_tiles(folder: Path) -> None:
    entry = read_catalog(folder).get("plain")
    assert entry.adapter is not None
    hungry = entry.adapter.model_copy(update={"pixel_bytes": 16_000})
    tiling = tiling_of(entry.model_copy(update={"adapter": hungry}))
    assert tiling.pixels == (512 << 20) // 16_000
    assert tiling_of(entry).pixels == 512 * 512


def test_a_tile_takes_what_the_graph_sees_at_once(loaded: Callable[[str], LoadedModel]) -> None:
    served, fixed = loaded("plain"), loaded("of 64 x 64")
    job = a_job(source_width=400, source_height=300, output_width=800, output_height=600)
    whole, patch = (one.at(1.0) for one in (served, fixed))
    assert tile_bytes(job, whole) >= whole.pixel_bytes.per_input * 400 * 300
    assert tile_bytes(job, patch) < patch.pixel_bytes.per_input * 64 * 64 + 200 * 500 * 400


def test_a_run_is_interrupted_between_patches(folder: Path) -> None:
    entry = read_catalog(folder).get("of 64 x 64")
    session = AdapterSession(folder, entry, threads=1)
    network = session.at(1.0)
    assert isinstance(network, Interruptible)
    assert isinstance(session, Releasing)
    image, grid = np.zeros((1, 3, 2000, 2000), np.float32), axis_grid(2000, 4000)
    failures: list[BaseException] = []

    def run() -> None:
        try:
            network.run(image, grid, grid)
        except Interrupted as error:
            failures.append(error)

    network.interrupt()  # without a run it has no effect
    small = axis_grid(40, 80)
    assert network.run(image[:, :, :40, :40], small, small).shape == (1, 3, 80, 80)
    thread = threading.Thread(target=run)
    thread.start()
    while thread.is_alive() and not failures:
        network.interrupt()
    thread.join(PATIENCE_S)
    assert len(failures) == 1
    session.release()
    assert network.run(image[:, :, :40, :40], small, small).shape == (1, 3, 80, 80)


def test_only_a_measured_graph_is_chosen_freely(folder: Path) -> None:
    entry = read_catalog(folder).get("plain")
    assert not entry.chosen_freely
    asked = entry.model_copy(update={"in_ladder": True})
    assert not asked.chosen_freely
    row = {"scale": 2.0, "width": 1.0, "psnr_y": 31.0, "ssim": 0.9}
    quality = [{"dataset": name, **row} for name in ("Set5", "B100")]
    other, counted = (
        ModelEntry.model_validate({**asked.model_dump(mode="json"), "quality": rows})
        for rows in (quality[:1], quality)
    )
    assert not other.chosen_freely
    assert counted.chosen_freely
    assert counted.expected_db(1.0, 2.0) == 31.0


def broken(tmp_path: Path, model: onnx.ModelProto, **adapter: object) -> str:
    """Return the reason for which a hand-written entry is broken."""
    entry = add_in_process(tmp_path, "hand", shuffled(2))
    graph = describe(saved(model, tmp_path / "changed.onnx"))
    width = entry.widths[0].model_copy(update={"onnx": graph})
    fields = entry.model_dump(mode="json")
    fields |= {"widths": [width.model_dump(mode="json")], "weights": graph.model_dump()}
    fields["adapter"] |= adapter
    content: dict[str, Any] = {"default": "hand", "models": [fields]}
    whole = add_in_process(tmp_path / "whole", "whole", shuffled(2))
    content["models"].append(whole.model_dump(mode="json"))
    (tmp_path / "catalog.json").write_text(json.dumps(content))
    shutil.copy(tmp_path / "whole" / whole.weights.file, tmp_path)
    loader = ModelLoader(tmp_path, SETTINGS, None)
    models, reasons = loader._models({}, frozenset())
    assert list(models) == ["whole"]
    return reasons["hand"]


def test_hand_written_entries_that_do_not_fit_are_broken(tmp_path: Path) -> None:
    assert "not the size of x2" in broken(tmp_path, shuffled(3))
    assert "other" in broken(tmp_path, shuffled(2), input="other")
    assert "multiple" in broken(tmp_path, shuffled(2), multiple=1000)


@pytest.mark.parametrize("place", ["initializer", "constant"])
def test_a_worker_reads_no_file_that_a_graph_names(tmp_path: Path, place: str) -> None:
    model = shuffled(2)
    tensor = model.graph.initializer[0]
    (tmp_path / "secret.bin").write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=str(tmp_path / "secret.bin"))
    if place == "constant":
        node = onnx.helper.make_node("Constant", [], [tensor.name], value=tensor)
        model.graph.node.insert(0, node)
        del model.graph.initializer[0]
    assert broken(tmp_path, model)


def test_a_network_that_sees_everything_runs_whole_pictures(tmp_path: Path) -> None:
    entry = add_in_process(tmp_path, "attending", attending(2))
    engine = load(tmp_path, entry, SETTINGS).at(1.0)
    colour = crop(64, 96)
    made = enlarged(engine, colour, 2.0)
    assert made.shape == (3, 128, 192)
    cut = enlarged(in_tiles(engine, pixels=1024), colour, 2.0)
    assert np.abs(made - cut).max() < 8 * LEVEL


def test_wrong_outputs_end_a_run(folder: Path) -> None:
    entry = read_catalog(folder).get("plain")
    assert entry.adapter is not None
    wrong = entry.adapter.model_copy(update={"scale": 3})
    session = AdapterSession(folder, entry.model_copy(update={"adapter": wrong}), threads=1)
    grid = axis_grid(16, 48)
    with pytest.raises(WrongOutput):
        session.at(1.0).run(np.zeros((1, 3, 16, 16), np.float32), grid, grid)
