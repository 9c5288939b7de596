"""Training: the loss falls, a cut-off run resumes to the bit, and torch is all it needs."""

import dataclasses
import functools
import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch.nn.functional import l1_loss

import models.training.degradation
import models.training.trainer
from models.spec import NetworkSpec
from models.training.batch import batch_of
from models.training.config import Config, Sampling, Training, learning_rate
from models.training.dataset import Photographs, list_images, training_files
from models.training.forward import upscale
from models.training.throughput import Meter
from models.training.trainer import StepFit, Trainer
from models.training.training_state import load_pieces

ROOT = Path(__file__).parents[3]
TINY = Config(
    NetworkSpec("conditioned", {"channels": 8, "blocks": 1, "basis": 3, "widths": [4, 8]}),
    Training(steps=40, warmup_steps=4, checkpoint_every=5, validate_every=1000, learning_rate=3e-3),
    Sampling(batch=2, patch=16),
)


def test_the_loss_falls(photographs, tmp_path):
    small, target = photographs.draw(Sampling(batch=8, patch=24), torch.Generator().manual_seed(99))
    trainer = Trainer(TINY, tmp_path / "run")

    def loss():
        return float(l1_loss(upscale(trainer.network, small, target.shape[2:], 8), target).detach())

    before = loss()
    for _ in range(40):
        trainer.train_step(photographs)
    assert loss() < 0.9 * before


def having(network=None, sampling=None, **training):
    """The tiny config with other settings."""
    return dataclasses.replace(
        TINY,
        network=network or TINY.network,
        training=dataclasses.replace(TINY.training, **training),
        sampling=sampling or TINY.sampling,
    )


EVERYTHING = having(
    NetworkSpec("conditioned", {"channels": 8, "blocks": 1, "basis": 3, "widths": [2, 4, 6, 8]}),
    Sampling(batch=2, patch=16, damaged_probability=0.5),
    loss="l1+high_frequency",
    schedule="cosine",
    patch_stages=[(0.0, 16), (0.2, 24)],
    precision="bfloat16",
    checkpoint_piece_mib=0.02,
)

PADDED = having(
    sampling=Sampling(batch=2, patch=16, damaged_probability=0.5),
    compile="graphs",
    optimiser="muon",
    queries=20,
    patch_stages=[(0.0, 16), (0.2, 24)],
    checkpoint_piece_mib=0.01,
)

HEAD_FIRST = having(
    NetworkSpec(
        "composed",
        {
            "encoder": {"name": "edsr", "args": {"channels": 8, "blocks": 3}},
            "head": {"name": "liif", "args": {"hidden": 8, "layers": 2}},
        },
    ),
    # Damaged inputs, for a network that takes no strength.
    Sampling(batch=2, patch=16, damaged_probability=0.5),
    head_first=0.2,  # eight steps
    checkpoint_piece_mib=0.02,
)


@pytest.mark.parametrize(
    "config",
    [TINY, EVERYTHING, HEAD_FIRST, PADDED],
    ids=["plain", "everything", "head_first", "padded"],
)
def test_a_run_cut_off_at_any_moment_resumes_to_the_bit(config, photographs, tmp_path):
    whole = Trainer(config, tmp_path / "whole")
    for _ in range(12):
        whole.train_step(photographs)
    whole.save()
    cut = Trainer(config, tmp_path / "cut")
    for _ in range(5):
        cut.train_step(photographs)
    cut.save()
    for _ in range(2):  # steps that were done after the last checkpoint and lost
        cut.train_step(photographs)
    resumed = Trainer(config, tmp_path / "cut")
    assert resumed.resume()
    assert resumed.step == 5
    while resumed.step < 12:
        resumed.train_step(photographs)
    resumed.save()
    a, b = (
        {**load_pieces(f), **load_file(f / "weights.safetensors")}
        for f in (tmp_path / "whole", tmp_path / "cut")
    )
    assert a.keys() == b.keys()
    assert len(a) > 80
    assert all(torch.equal(a[key], b[key]) for key in a)


def test_the_encoder_stays_until_the_head_has_had_its_part(photographs, tmp_path):
    trainer = Trainer(HEAD_FIRST, tmp_path / "run")

    def weights():
        state = trainer.network.state_dict()
        return [
            torch.cat([v.flatten() for k, v in state.items() if k.startswith(f"{part}.")])
            for part in ("encoder", "head")
        ]

    encoder, head = weights()
    for _ in range(8):
        trainer.train_step(photographs)
    assert torch.equal(weights()[0], encoder)
    assert not torch.equal(weights()[1], head)
    trainer.train_step(photographs)
    assert not torch.equal(weights()[0], encoder)


def test_head_first_needs_an_uncompiled_encoder(tmp_path):
    with pytest.raises(ValueError, match="an encoder and a head, not conditioned"):
        Trainer(having(head_first=0.5), tmp_path)
    with pytest.raises(ValueError, match="compile"):
        having(HEAD_FIRST.network, head_first=0.5, compile="inductor")
    with pytest.raises(ValueError, match="in \\[0, 1\\]"):
        having(HEAD_FIRST.network, head_first=1.5)


def test_a_resumed_optimiser_lies_in_memory_as_a_fresh_one(photographs, tmp_path):
    """Fused Adam refuses slots with other strides than their parameters have."""
    trainer = Trainer(TINY, tmp_path / "run")
    trainer.train_step(photographs)
    trainer.save()
    resumed = Trainer(TINY, tmp_path / "run")
    assert resumed.resume()
    for parameter, slots in resumed.optimiser.state.items():
        assert slots["exp_avg"].stride() == parameter.stride()
        assert slots["exp_avg_sq"].stride() == parameter.stride()
    weight = resumed.network.get_parameter("blocks.0.convolutions.0.weight")
    assert weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("damaged", [0.0, 1.0])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"loss": "l1+high_frequency"},
        {"compile": "graphs", "optimiser": "muon", "queries": 20},
    ],
)
def test_no_step_waits_for_the_device(folder, tmp_path, monkeypatch, options, damaged):
    """The meta device stands for a GPU: it has no values, so reading one is an error."""
    sampling = Sampling(batch=2, patch=16, damaged_probability=damaged)
    config = having(sampling=sampling, **options)
    trainer = Trainer(config, tmp_path / "run", "meta")
    # Autocast and generators know no meta device.
    monkeypatch.setattr(trainer, "trunk", trainer.network.trunk)
    monkeypatch.setattr(
        models.training.degradation, "_normal", lambda like, _: torch.randn_like(like)
    )
    photographs = Photographs(list_images([folder]), "meta")
    meter = Meter(peak=1.0)
    for _ in range(3):
        meter.add(trainer.train_step(photographs))
    assert trainer.step == 3
    with pytest.raises((RuntimeError, NotImplementedError)):
        meter.read()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("compiler", ["off", "graphs", "inductor", "inductor+graphs"])
def test_on_cuda_no_step_waits_and_a_run_resumes(folder, tmp_path, compiler):
    training = dataclasses.asdict(EVERYTHING.training)
    training |= {"precision": "auto", "compile": compiler, "loss": "l1"}
    config = having(sampling=EVERYTHING.sampling, **training)
    photographs = Photographs(list_images([folder]), "cuda", config.crop_side)
    trainer = Trainer(config, tmp_path / "run", "cuda")
    for _ in range(2):
        for _ in range(24):  # long enough for every width and both patch stages
            trainer.train_step(photographs)
        torch.cuda.set_sync_debug_mode("error")
        try:
            steps = [trainer.train_step(photographs) for _ in range(3)]
        finally:
            torch.cuda.set_sync_debug_mode("default")
        assert all(float(step.loss) < 1 for step in steps)
        trainer.save()
        trainer = Trainer(config, tmp_path / "run", "cuda")
        assert trainer.resume()
    assert trainer.step == 54


def test_a_run_goes_on_padded_or_not_whichever_it_began_as(photographs, tmp_path):
    plain = dataclasses.replace(
        PADDED, training=dataclasses.replace(PADDED.training, compile="off")
    )
    weights = []
    for first, second in ((plain, PADDED), (PADDED, plain)):
        folder = tmp_path / first.training.compile
        trainer = Trainer(first, folder)
        trainer.run(photographs, [], stop_at=0.0)
        for _ in range(4):
            trainer.train_step(photographs)
        trainer.save()
        trainer = Trainer(second, folder)
        assert trainer.resume()
        for _ in range(4):
            trainer.train_step(photographs)
        assert trainer.step == 8
        weights.append([*trainer.network.parameters(), *trainer.average.parameters()])
    for a, b in zip(*weights, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_a_head_that_mixes_pixels_cannot_be_padded(tmp_path):
    with pytest.raises(ValueError, match="mixes output pixels"):
        Trainer(having(MIXING, compile="graphs"), tmp_path)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # which torch itself reads
def test_blocks_are_compiled_once_for_each_width(photographs, tmp_path, monkeypatch):
    from torch._dynamo.testing import CompileCounter

    counter = CompileCounter()  # a backend that compiles nothing, so that the test is quick
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=counter))
    spec = NetworkSpec("conditioned", {**TINY.network.args, "blocks": 3})
    losses = []
    for compiler in ("inductor+graphs", "off"):
        trainer = Trainer(having(spec, compile=compiler), tmp_path / compiler)
        steps = [trainer.train_step(photographs) for _ in range(6)]
        losses.append([float(step.loss) for step in steps])
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    assert counter.frame_count == 2


def test_there_is_nothing_to_resume_at_first(tmp_path):
    assert not Trainer(TINY, tmp_path / "new").resume()


def test_a_run_reports_validates_and_writes_weights_that_can_be_loaded(folder, tmp_path):
    config = having(steps=100, validate_every=50)
    files, held = training_files([folder], 1)
    assert len(held) == 1
    assert held[0] not in files
    reports: list[dict[str, Any]] = []
    trainer = Trainer(config, tmp_path / "run")
    trainer.run(Photographs(files), held, report=reports.append)
    assert trainer.step == 100
    assert {r["step"] for r in reports if "psnr" in r} == {50, 100}
    assert set(reports[-1]["psnr"]) == {"x2@4", "x2@8", "x3@4", "x3@8", "x4@4", "x4@8"}
    assert reports[0]["precision"] == "float32"
    speed = next(r for r in reports if "steps_per_s" in r)
    assert speed["images_per_s"] == pytest.approx(2 * speed["steps_per_s"])
    assert 0 < speed["of_peak"] < 1
    assert speed["of_peak"] == pytest.approx(speed["tflop_per_s"] / reports[0]["peak_tflop_per_s"])


def test_a_run_out_of_time_still_leaves_a_checkpoint(photographs, tmp_path):
    trainer = Trainer(TINY, tmp_path / "run")
    trainer.run(photographs, [], stop_at=0.0)
    assert trainer.step == 0
    assert (tmp_path / "run" / "weights.safetensors").exists()
    assert Trainer(TINY, tmp_path / "run").resume()


def test_a_run_goes_on_with_other_photographs(folder, tmp_path):
    first, second = ([f] for f in list_images([folder])[:2])
    trainer = Trainer(having(steps=3), tmp_path / "run")
    trainer.run(Photographs(first), [])
    resumed = Trainer(having(steps=6), tmp_path / "run")
    assert resumed.resume()
    resumed.run(Photographs(second), [])
    assert resumed.step == 6


def test_every_width_is_drawn_and_the_full_one_most(tmp_path):
    trainer = Trainer(TINY, tmp_path / "run")
    drawn = [trainer._draw_width(torch.Generator().manual_seed(i)) for i in range(300)]
    assert set(drawn) == {4, 8}
    assert 0.3 < drawn.count(8) / 300 < 0.5


def test_algorithm_1_trains_the_width_of_the_scales_or_the_full_one(tmp_path):
    """Lines 2 to 4 of AnySR's algorithm: a group, a scale of it, its width unless reset."""
    settings = {"recipe": "algorithm_1", "scale_groups": [2.0, 4.0], "reset_probability": 0.6}
    trainer = Trainer(having(**settings), tmp_path / "run")
    drawn = [trainer._draw(torch.Generator().manual_seed(i)) for i in range(300)]
    low = [channels for sampling, channels in drawn if max(sampling.anchors) <= 2.0]
    high = [channels for sampling, channels in drawn if min(sampling.anchors) > 2.0]
    assert len(low) + len(high) == 300
    assert 110 < len(low) < 190
    assert set(high) == {8}
    assert 0.5 < low.count(8) / len(low) < 0.7
    assert set(low) == {4, 8}


def test_algorithm_1_needs_a_group_for_every_width(tmp_path):
    with pytest.raises(ValueError, match="4 scale_groups for 2 widths"):
        Trainer(having(recipe="algorithm_1"), tmp_path / "run")


SLICED = {"channels": 8, "blocks": 1, "anysr": {"widths": [4, 8], "pairs": 2}}
MIXING = NetworkSpec(
    "composed", {"encoder": {"name": "edsr", "args": SLICED}, "head": {"name": "arbsr"}}
)


@pytest.mark.parametrize("spec", [TINY.network, MIXING], ids=["conditioned", "arbsr"])
def test_the_loss_of_queries_is_that_of_the_same_pixels_of_the_whole(photographs, tmp_path, spec):
    trainer = Trainer(having(spec, queries=7), tmp_path / "run")
    small, target = photographs.draw(TINY.sampling, torch.Generator().manual_seed(3))
    queries = trainer._draw_queries(target, torch.Generator().manual_seed(4))
    assert queries is not None
    assert len(queries.rows) == len(queries.columns) == 7
    network = trainer.network.eval()
    for width in (4, 8):
        whole = upscale(network, small, target.shape[2:], width).detach()
        part = upscale(network, small, target.shape[2:], width, queries=queries)
        torch.testing.assert_close(queries.loss_pixels(part), queries.loss_pixels_of(whole))
        loss = trainer._backward(batch_of(network, small, target, queries), width)
        expected = l1_loss(queries.loss_pixels_of(whole), queries.loss_pixels_of(target))
        torch.testing.assert_close(loss, expected)


def test_too_few_queries_to_have_neighbours_are_refused(tmp_path):
    with pytest.raises(ValueError, match="queries must be more than 2"):
        Trainer(having(MIXING, queries=2), tmp_path / "run")


def test_validation_sees_damaged_inputs_where_they_are_trained(folder, tmp_path):
    files = list_images([folder])[:1]
    clean = Trainer(TINY, tmp_path / "clean").validate(files)
    both = having(sampling=Sampling(batch=2, patch=16, damaged_probability=0.5))
    first, second = (Trainer(both, tmp_path / "both").validate(files) for _ in range(2))
    assert first == second
    assert {key: first[key] for key in clean} == clean
    damaged = {key: value for key, value in first.items() if key not in clean}
    assert set(damaged) == {f"{key} strength 0.5" for key in clean}
    assert all(value < clean[key.partition(" ")[0]] - 0.5 for key, value in damaged.items())


def test_a_damaged_step_passes_its_strength_to_the_network(folder, tmp_path, monkeypatch):
    seen = []
    sampling = Sampling(batch=2, patch=16, damaged_probability=1.0)
    trainer = Trainer(having(sampling=sampling), tmp_path / "run")
    trunk: Any = trainer.network.trunk

    def watched(image, condition, channels):
        seen.append(condition)
        return trunk(image, condition, channels)

    monkeypatch.setattr(trainer, "trunk", watched)
    photographs = Photographs(list_images([folder]))
    for _ in range(8):
        trainer.train_step(photographs)
    strengths = [float(condition[2]) for condition in seen]
    assert len(set(strengths)) == 8
    assert all(0 < strength <= 1 for strength in strengths)
    assert all(0.2 <= float(condition[0]) <= 1 for condition in seen)


def test_a_run_that_is_fit_to_the_clock_ends_in_time_with_its_rate_fallen(
    folder, tmp_path, monkeypatch
):
    looks = itertools.count()
    monkeypatch.setattr("models.training.trainer.time.monotonic", lambda: next(looks) / 100)
    monkeypatch.setattr(models.training.trainer, "FIT_S", 0.1)
    trainer = Trainer(having(steps=10**6), tmp_path / "run")
    trainer.run(Photographs(list_images([folder])), [], fit_to=1.0)
    assert 0.7 < next(looks) / 100 < 1.0
    training = trainer.config.training
    assert trainer.step == training.steps < 10**6
    assert learning_rate(training, trainer.step) == 0


def test_no_steps_are_estimated_without_an_end_to_fit_to():
    assert StepFit(0, None).total_steps(10**6) is None
