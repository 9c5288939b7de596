"""The precision and compilation of the trunk in training.

Only the trunk is accelerated, in networks that have one: it has most of the arithmetic, and its
shapes are few (one per width and patch size). The head stays in float32, because the image
itself passes through it and bfloat16 would round it to 1/256; and it stays uncompiled, because
its shapes change with every real scale. For a GPU whole steps are captured:
`models.training.cuda_graphs`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from models.architectures.network import TrunkedNetwork

Pass = Callable[[Tensor, Tensor], Tensor]

PROGRAMS_LIMIT = 64
"""Most programs that torch.compile makes of one trunk before it runs uncompiled."""


def resolve_precision(precision: str, device: torch.device) -> torch.dtype:
    """Return the trunk's dtype: "auto" is bfloat16 on CUDA and float32 elsewhere."""
    if precision == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[precision]


def prepare_device(device: torch.device) -> None:
    """On CUDA, enable TF32 for float32 products and the choice of convolutions by trial."""
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = True


@contextlib.contextmanager
def denormals_flushed(device: torch.device) -> Iterator[None]:
    """On a CPU, flush denormal floats to 0 inside the block: they cost a hundred times as much to
    compute with, and the moments of channels that no longer learn become denormal. The setting is
    restored at the end, because it belongs to the thread and other code may need denormals."""
    if device.type == "cpu":
        torch.set_flush_denormal(True)
    try:
        yield
    finally:
        if device.type == "cpu":
            torch.set_flush_denormal(False)


class Trunk:
    """A network's trunk, in a dtype, and by `torch.compile` if it is to be `compiled`.

    call: image [B, 3, H, W], inverse_scale [2] or condition [3], channels -> features [B, C, H, W]
    in float32.
    """

    def __init__(self, network: TrunkedNetwork, dtype: torch.dtype, compiled: bool = False) -> None:
        self.network = network
        self.dtype = dtype
        self._passes: dict[tuple[int, torch.Size], Pass] = {}
        self._compiled = compiled

    def __call__(self, image: Tensor, inverse_scale: Tensor, channels: int) -> Tensor:
        key = channels, image.shape
        # A program holds casts of weights, so none may stay in autocast's cache after a call.
        with torch.autocast(
            image.device.type,
            torch.bfloat16,
            enabled=self.dtype == torch.bfloat16,
            cache_enabled=not self._compiled,
        ):
            if key not in self._passes:
                part = _TrunkAtWidth(self.network, channels)
                self._passes[key] = _compiled(part) if self._compiled else part
            features = self._passes[key](image, inverse_scale)
        return features.float()


class _TrunkAtWidth(nn.Module):
    """One width of the trunk, as a module to compile."""

    def __init__(self, network: TrunkedNetwork, channels: int) -> None:
        super().__init__()
        self.network = network
        self.channels = channels

    def forward(self, image: Tensor, inverse_scale: Tensor) -> Tensor:
        return self.network.trunk(image, inverse_scale, self.channels)


def _compiled(part: nn.Module) -> Pass:
    # Imported here because it takes seconds, which only compiled runs should spend.
    import torch._dynamo.config

    torch._dynamo.config.recompile_limit = PROGRAMS_LIMIT
    compiled: Pass = torch.compile(part, dynamic=False)
    return compiled
