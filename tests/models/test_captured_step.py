"""A whole step as a GPU captures it: traced on a CPU into a list of operations, and replayed.

A trace is to a CPU what a CUDA graph is to a GPU. It reads and writes the tensors that were there
when it was made; all numbers, shapes and branches of Python are constant in it; and reading a
tensor's value while tracing is an error, as during capture. So values that are not in tensors of
fixed addresses are found: a step that replays with an old rate, batch or scale differs from a plain
one.
"""

import dataclasses

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from models.spec import NetworkSpec
from models.training.config import Config, Sampling, Training
from models.training.cuda_graphs import WARM_UPS, Replays
from models.training.dataset import Photographs, list_images
from models.training.trainer import Trainer

CONFIG = Config(
    NetworkSpec("conditioned", {"channels": 8, "blocks": 1, "basis": 3, "widths": [4, 8]}),
    Training(steps=24, warmup_steps=8, cooldown=0.5, learning_rate=3e-3, optimiser="muon"),
    Sampling(batch=2, patch=12, damaged_probability=0.5, flat_probability=0.1),
)


class Traced(Replays):
    """Replays on a CPU: traces of what the trainer would capture."""

    def __init__(self, trainer):
        super().__init__(torch.device("cpu"))
        self._cuda = True
        self._trainer = trainer
        self.replayed = 0

    def _warm_up(self, work):
        return work()

    def _capture(self, work):
        kept = self._state()
        values = [tensor.detach().clone() for tensor in kept]
        trace = make_fx(work)()
        with torch.no_grad():  # unlike a capture, a trace runs the work
            for tensor, value in zip(kept, values, strict=True):
                tensor.copy_(value)

        def replay():
            self.replayed += 1
            with torch.no_grad():
                return trace()

        return replay

    def _state(self):
        moments = self._trainer.optimiser.state.values()
        networks = self._trainer.network, self._trainer.average
        tensors = [tensor for network in networks for tensor in network.state_dict().values()]
        return [*tensors, *(tensor for slots in moments for tensor in slots.values())]


def trainer_of(tmp_path, compiler, **settings):
    training = dataclasses.replace(CONFIG.training, compile=compiler, **settings)
    return Trainer(dataclasses.replace(CONFIG, training=training), tmp_path / compiler)


@pytest.mark.parametrize(
    "settings",
    [
        {"queries": 20},
        {"optimiser": "adam"},
    ],
    ids=["muon", "adam"],
)
def test_a_replayed_step_is_the_plain_step(folder, tmp_path, settings):
    photographs = Photographs(list_images([folder]))
    plain, captured = (trainer_of(tmp_path, name, **settings) for name in ("off", "graphs"))
    captured.replays = replays = Traced(captured)
    for step in range(CONFIG.training.steps):
        losses = [float(t.train_step(photographs).loss) for t in (plain, captured)]
        assert losses[1] == pytest.approx(losses[0], abs=1e-5), step
    assert replays.failure is None
    assert replays.captured == 2
    assert replays.replayed == CONFIG.training.steps - WARM_UPS * replays.captured
    for a, b in zip(captured.average.parameters(), plain.average.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)
    counts = {float(slots["step"]) for slots in captured.optimiser.state.values()}
    assert counts == {CONFIG.training.steps}


def test_a_step_that_cannot_be_captured_runs_unpadded(folder, tmp_path, monkeypatch):
    photographs = Photographs(list_images([folder]))
    plain, captured = (trainer_of(tmp_path, name) for name in ("off", "graphs"))
    captured.replays = replays = Traced(captured)

    def fails(_work):
        raise RuntimeError("no")

    monkeypatch.setattr(replays, "_capture", fails)

    def train(trainer):
        return [float(trainer.train_step(photographs).loss) for _ in range(CONFIG.training.steps)]

    with pytest.warns(RuntimeWarning, match="could not be captured"):
        losses = train(captured)
    assert losses == pytest.approx(train(plain), abs=1e-5)
    assert replays.captured == 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("settings", [{"queries": 20}, {"optimiser": "adam"}])
def test_on_cuda_a_captured_step_is_the_plain_step(folder, tmp_path, settings):
    photographs = Photographs(list_images([folder]), "cuda")
    trainers = []
    for name in ("off", "graphs"):
        training = dataclasses.replace(
            CONFIG.training, compile=name, precision="float32", **settings
        )
        config = dataclasses.replace(CONFIG, training=training)
        trainers.append(Trainer(config, tmp_path / name, "cuda"))
    for step in range(CONFIG.training.steps):
        losses = [float(trainer.train_step(photographs).loss) for trainer in trainers]
        assert losses[1] == pytest.approx(losses[0], rel=0.02), step
    assert trainers[1].replays.failure is None
    assert trainers[1].replays.captured > 0
