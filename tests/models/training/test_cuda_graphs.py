"""Work is warmed up, captured once per key, and replayed; failed captures fall back to direct
runs."""

import functools

import pytest
import torch

from models.training.cuda_graphs import WARM_UPS, Replays


class Recorded(Replays):
    """Replays on a CPU, which call the captured work again."""

    def __init__(self, fails=False):
        super().__init__(torch.device("cpu"))
        self._cuda = True
        self.fails = fails
        self.log: list[str] = []

    def _warm_up(self, work):
        self.log.append("warm-up")
        return work()

    def _capture(self, work):
        self.log.append("capture")
        if self.fails:
            raise RuntimeError("operation not permitted\nand more")
        result = torch.zeros(())

        def replay():
            self.log.append("replay")
            return result.copy_(work())

        return replay


def counting():
    done = torch.zeros(())
    return lambda: done.add_(1).clone()


def test_work_runs_directly_on_other_devices_than_cuda():
    replays, work = Replays(torch.device("cpu")), counting()
    assert [float(replays.run("a", work)) for _ in range(WARM_UPS + 3)] == [1, 2, 3, 4, 5, 6]
    assert replays.captured == 0


def test_each_call_runs_the_work_once_in_warm_up_capture_and_replay():
    replays, work = Recorded(), counting()
    results = [replays.run("a", work) for _ in range(WARM_UPS + 3)]
    assert [float(result) for result in results] == [1, 2, 3, 4, 5, 6]  # none was overwritten
    assert replays.log == ["warm-up"] * WARM_UPS + ["capture"] + ["replay"] * 3


def test_each_key_has_its_own_graph():
    replays, works = Recorded(), {"a": counting(), "b": counting()}
    for _ in range(WARM_UPS + 2):
        for key, work in works.items():
            replays.run(key, work)
    assert replays.captured == 2
    assert [float(replays.run(key, work)) for key, work in works.items()] == [WARM_UPS + 3] * 2
    assert replays.log.count("capture") == 2


def test_work_that_cannot_be_captured_warns_once_and_runs_without_graphs():
    replays, work = Recorded(fails=True), counting()
    for _ in range(WARM_UPS):
        replays.run("a", work)
    with pytest.warns(RuntimeWarning, match="goes on without: operation not permitted$"):
        assert float(replays.run("a", work)) == WARM_UPS + 1
    assert replays.failure == "operation not permitted"
    assert [float(replays.run(key, work)) for key in ("a", "b")] == [WARM_UPS + 2, WARM_UPS + 3]
    assert replays.log == ["warm-up"] * WARM_UPS + ["capture"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_cuda_graphs_of_one_pool_do_what_the_work_does():
    device = torch.device("cuda")
    replays = Replays(device)
    weight = torch.zeros(4, device=device, requires_grad=True)
    factor = torch.ones((), device=device)

    def work(power):
        weight.grad = None
        loss = ((weight - 1) ** power).sum() * factor
        loss.backward()
        assert weight.grad is not None
        with torch.no_grad():
            weight.sub_(weight.grad, alpha=0.05)
        return loss.detach()

    losses = []
    for step in range(16):
        factor.fill_(1 + step / 16)
        losses.append(replays.run(step % 2, functools.partial(work, 2 + 2 * (step % 2))))
    assert replays.captured == 2
    assert replays.failure is None
    replayed = weight.detach().clone()
    with torch.no_grad():
        weight.zero_()
    for step in range(16):
        factor.fill_(1 + step / 16)
        torch.testing.assert_close(losses[step], work(2 + 2 * (step % 2)))
    torch.testing.assert_close(replayed, weight.detach())
