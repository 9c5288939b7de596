"""Training settings: schedules, stages, and values that are refused."""

from itertools import pairwise
from pathlib import Path

import pytest

from models.architectures.registry import build_network
from models.spec import NetworkSpec
from models.training.config import Config, Sampling, Training, learning_rate

CONFIGS = Path(__file__).parents[3] / "models" / "configs"


def test_the_learning_rate_warms_up_stays_and_falls_to_zero():
    training = Training(steps=1000, learning_rate=1.0, warmup_steps=10, cooldown=0.25)
    rates = [learning_rate(training, step) for step in range(1001)]
    assert rates[0] == 0.1
    assert set(rates[9:751]) == {1.0}
    assert rates[1000] == 0
    assert all(a >= b for a, b in pairwise(rates[750:]))


def test_the_cosine_warms_up_and_falls_by_half_a_cosine():
    training = Training(steps=1000, learning_rate=2.0, warmup_steps=100, schedule="cosine")
    rates = [learning_rate(training, step) for step in range(1001)]
    assert rates[0] == 0.02
    assert rates[100] == 2.0
    assert rates[550] == pytest.approx(1.0)
    assert rates[1000] == pytest.approx(0)
    assert all(a > b for a, b in pairwise(rates[100:]))


def test_the_patch_grows_by_stages_and_crops_fit_the_largest():
    stages = [(0.0, 16), (0.5, 24), (0.75, 20)]
    config = Config(NetworkSpec("conditioned"), Training(steps=100, patch_stages=stages))
    patches = [config.sampling_at(step).patch for step in range(101)]
    assert patches == [16] * 50 + [24] * 25 + [20] * 26
    assert config.crop_side == 96
    plain = Config(NetworkSpec("conditioned"), Training(steps=100))
    assert plain.sampling_at(99) == plain.sampling
    assert plain.crop_side == 160
    assert Sampling(patch=20, high=1.5, anchors=(2, 3)).crop_side == 60


@pytest.mark.parametrize("name", [p.stem for p in sorted(CONFIGS.glob("*.toml"))])
def test_the_shipped_configs_build(name):
    config = Config.read(CONFIGS / f"{name}.toml")
    several = config.network.name == "conditioned" or name == "anysr-paper"
    assert len(build_network(config.network).widths) >= (4 if several else 1)
    assert (config.sampling.damaged_probability > 0) == build_network(config.network).takes_strength


@pytest.mark.parametrize("name", ["anysr-s", "anysr-m", "anysr-l"])
def test_a_gpu_trains_the_same_network(name):
    plain, gpu = (Config.read(CONFIGS / f"{n}.toml") for n in (name, f"{name}-gpu"))
    assert plain.network == gpu.network


def test_a_misspelt_setting_is_refused(tmp_path):
    text = (CONFIGS / "anysr-s.toml").read_text()
    path = tmp_path / "wrong.toml"
    path.write_text(text.replace("warmup_steps", "warm_up"))
    with pytest.raises(ValueError, match="warm_up"):
        Config.read(path)


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("loss", "l3", "high_frequency"),
        ("precision", "float8", "bfloat16"),
        ("schedule", "steps", "cosine"),
        ("optimiser", "sgd", "muon"),
        ("compile", "yes", "inductor"),
        ("patch_stages", [(0.1, 16)], "rise from 0"),
        ("patch_stages", [(0.0, 16), (0.6, 20), (0.5, 24)], "rise from 0"),
        ("patch_stages", [(0.0, 16), (1.0, 20)], "below 1"),
        ("recipe", "algorithm_2", "algorithm_1"),
        ("scale_groups", [2.5, 1.7], "rise from above 1"),
    ],
)
def test_an_invalid_value_of_a_setting_is_refused(setting, value, words):
    with pytest.raises(ValueError, match=words):
        Training(steps=1, **{setting: value})
    with pytest.raises(ValueError, match="damaged_probability"):
        Sampling(damaged_probability=1.5)


def test_a_loss_of_neighbouring_pixels_needs_the_whole_output():
    assert Training(steps=1, loss="l1+high_frequency").queries == 0
    with pytest.raises(ValueError, match="neighbouring pixels"):
        Training(steps=1, loss="l1+high_frequency", queries=16)
    with pytest.raises(ValueError, match="no padding"):
        Training(steps=1, loss="l1+high_frequency", compile="graphs")


def test_anysrs_groups_are_the_papers_tenths():
    config = Config.read(CONFIGS / "anysr-paper.toml")
    groups = [config.sampling_of_group(config.sampling, group) for group in range(4)]
    tenths = [[round(10 * scale) for scale in group.anchors] for group in groups]
    assert tenths == [[*range(11, 18)], [*range(18, 26)], [*range(26, 33)], [*range(33, 41)]]
    assert all(group.anchor_probability == 1 for group in groups)
    assert all(group.unequal_probability == 0 for group in groups)
    assert config.crop_side == 4 * 128


def test_a_run_says_which_scales_it_trains():
    def scales(sampling, **training):
        return Config(NetworkSpec("conditioned"), Training(steps=9, **training), sampling).scales

    assert scales(Sampling(low=1.5, high=3.0, anchors=(2.0, 4.0))) == (1.5, 4.0)
    assert scales(Sampling(low=1.5, high=3.0).only_at(3.0)) == (3.0, 3.0)
    groups = {"recipe": "algorithm_1", "scale_groups": [1.7, 2.5, 3.0]}
    assert scales(Sampling(low=1.1), **groups) == (1.1, 3.0)
