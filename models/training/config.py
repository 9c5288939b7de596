"""The settings of a training run: its network, how batches are drawn, how long and how fast.

Everything here comes from one TOML file of models/configs. A step depends on the config and its
own number alone, so a resumed run needs no saved schedule.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from models.spec import NetworkSpec
from models.training.losses import LOSSES, OF_NEIGHBOURS
from models.training.table_types import made

PRECISIONS = ("auto", "float32", "bfloat16")
COMPILERS = ("off", "inductor", "graphs", "inductor+graphs")
CAPTURED = ("graphs", "inductor+graphs")
"""The `COMPILERS` whose steps are captured, and therefore have fixed shapes."""
SCHEDULES = ("wsd", "cosine")
OPTIMISERS = ("adam", "muon")
RECIPES = ("every_width", "algorithm_1")

PAPER_GROUPS = (1.7, 2.5, 3.2, 4.0)
"""The largest scale of each of AnySR's groups."""


@dataclass(frozen=True)
class Sampling:
    """How a batch is drawn: `batch` input patches of `patch` pixels a side, and one scale.

    The scale is uniform in [low, high], or with probability `anchor_probability` one of
    `anchors`; with probability `unequal_probability` height and width draw separate ones.

    The input is the target shrunk by bicubic; in a part `damaged_probability` of the steps it is
    damaged as well, to a strength drawn uniformly from (0, 1], which is an input of networks that
    take one (`models.strength`). At strength 1 that is a Gaussian blur of at most `blur` input
    pixels and Gaussian noise of at most `noise` of 255 levels, drawn per sample and left out of a
    part `jpeg_alone_probability` of the samples; then, with `jpeg_probability`, a JPEG of that
    strength's quality. Steps with damage draw scales from 1 on, and 1 among the anchors: there a
    network cleans up without enlarging.

    A part `flat_probability` of the crops is replaced by one colour, half of them by a corner of
    the colour cube: photographs rarely have those, and pictures with logos do.
    """

    batch: int = 8
    patch: int = 40
    low: float = 1.1
    high: float = 4.0
    anchors: Sequence[float] = (2.0, 3.0, 4.0)
    anchor_probability: float = 0.3
    unequal_probability: float = 0.15
    damaged_probability: float = 0.0
    blur: float = 0.6
    noise: float = 4.0
    jpeg_probability: float = 0.9
    jpeg_alone_probability: float = 0.6
    flat_probability: float = 0.0

    def __post_init__(self) -> None:
        parts = ("anchor", "unequal", "damaged", "jpeg", "jpeg_alone", "flat")
        _parts(self, *(f"{part}_probability" for part in parts))
        _at_least_one(self, "batch", "patch", "low")
        if self.high < self.low:
            raise ValueError(f"high must be at least low, {self.low:g}, got {self.high:g}")
        if min(self.anchors, default=1) < 1 or (self.anchor_probability and not self.anchors):
            raise ValueError(f"anchors must be scales of at least 1, got {self.anchors}")

    def damaged(self) -> Sampling:
        """Return the sampling of a damaged step, whose scales start at 1."""
        return replace(self, low=1.0, anchors=(1.0, *self.anchors))

    def only_at(self, scale: float) -> Sampling:
        """Return the sampling for a network of one scale."""
        return replace(self, low=scale, high=scale, anchors=(scale,), unequal_probability=0.0)

    @property
    def crop_side(self) -> int:
        """The longest side of a crop in pixels."""
        return round(self.patch * max(self.high, *self.anchors))


@dataclass(frozen=True)
class Training:
    """The length, speed and recipe of a run.

    schedule: "wsd" warms up, stays constant and falls linearly to zero over the last `cooldown`
        part of `steps`, so a run can be made longer by resuming it with more steps before it
        cools; "cosine" warms up and falls along half a cosine.
    precision: of the trunk; "auto" is bfloat16 on CUDA and float32 elsewhere. On CUDA float32
        products are TF32.
    compile: how a step runs; "inductor" compiles the trunk (torch.compile), "graphs" pads a step to
        fixed shapes and captures all of it in a CUDA graph (elsewhere it is padded alone), and
        "inductor+graphs" does both. Each makes one program per width and patch size.
    optimiser: "adam"; or "muon" for the trunk's kernels and Adam for the rest
        (`models.training.muon`), both at `learning_rate`.
    loss: a name of `models.training.losses.LOSSES`.
    recipe: "every_width" trains any width at any scale, the full one with
        `full_width_probability`; "algorithm_1" is AnySR's, which draws a group of scales, one of
        its tenths, and trains the group's width, or with `reset_probability` the full one.
    scale_groups: the largest scale of each group of "algorithm_1", one for every width; the first
        begins at 1.1.
    queries: output pixels a side that a step computes, drawn anew for each step as rows and
        columns (`models.training.queries`); 0 for all. Implicit heads spend most of a step on them.
    head_first: the initial part of `steps` in which the encoder is frozen and only the head
        learns: for a new head on a trained encoder (`--grow-from`), at half
        the cost of a step. Needs `compile = "off"`.
    patch_stages: (start, patch) pairs, start as a part of `steps` in [0, 1), rising from 0;
        empty for `Sampling.patch` throughout.
    checkpoint_piece_mib: upper bound of every file of the training state, in MiB.
    """

    steps: int
    learning_rate: float = 1e-3
    warmup_steps: int = 200
    optimiser: str = "adam"
    schedule: str = "wsd"
    cooldown: float = 0.3
    recipe: str = "every_width"
    full_width_probability: float = 0.4
    scale_groups: Sequence[float] = PAPER_GROUPS
    reset_probability: float = 0.6
    queries: int = 0
    head_first: float = 0.0
    patch_stages: Sequence[tuple[float, int]] = ()
    loss: str = "l1"
    gradient_clip: float = 1.0
    ema_decay: float = 0.999
    precision: str = "auto"
    compile: str = "off"
    seed: int = 1
    checkpoint_every: int = 500
    checkpoint_piece_mib: float = 15.0
    validate_every: int = 2000
    validation_images: int = 8

    def __post_init__(self) -> None:
        _parts(self, "cooldown", "full_width_probability", "reset_probability", "ema_decay")
        _at_least_one(self, "steps", "checkpoint_every", "checkpoint_piece_mib", "validate_every")
        _one_of("optimiser", self.optimiser, OPTIMISERS)
        _one_of("schedule", self.schedule, SCHEDULES)
        _one_of("recipe", self.recipe, RECIPES)
        if sorted({1.0, *self.scale_groups}) != [1.0, *self.scale_groups]:
            raise ValueError(f"scale_groups must rise from above 1, got {self.scale_groups}")
        _one_of("loss", self.loss, tuple(LOSSES))
        _one_of("precision", self.precision, PRECISIONS)
        _one_of("compile", self.compile, COMPILERS)
        _parts(self, "head_first")
        if self.loss in OF_NEIGHBOURS and (self.queries or self.compile in CAPTURED):
            needed = "it needs queries = 0, and no padding (compile)"
            raise ValueError(f"{self.loss} compares neighbouring pixels: {needed}")
        if self.head_first and self.compile != "off":
            raise ValueError("head_first changes what learns during a run: it needs compile = off")
        starts = [start for start, _ in self.patch_stages]
        if starts and (starts[0] != 0 or starts != sorted(set(starts)) or starts[-1] >= 1):
            raise ValueError(f"patch_stages must rise from 0 and stay below 1, got {starts}")


@dataclass(frozen=True)
class Config:
    """A training run, as read from a TOML file of models/configs."""

    network: NetworkSpec
    training: Training
    sampling: Sampling = field(default_factory=Sampling)

    @classmethod
    def read(cls, path: Path) -> Config:
        """Read a config. Raises OSError for a file that cannot be read, and ValueError for one that
        is no TOML, for a missing table, and for a setting that is unknown or wrong."""
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        missing = [name for name in ("network", "training") if name not in tables]
        if missing:
            raise ValueError(f"it has no table [{missing[0]}]")
        return cls(
            made(NetworkSpec, "network", tables["network"]),
            made(Training, "training", tables["training"]),
            made(Sampling, "sampling", tables.get("sampling", {})),
        )

    def sampling_at(self, step: int) -> Sampling:
        """Return the sampling of a step, with the patch of its stage."""
        reached = [p for start, p in self.training.patch_stages if start <= self.progress(step)]
        return replace(self.sampling, patch=reached[-1]) if reached else self.sampling

    def sampling_of_group(self, sampling: Sampling, group: int) -> Sampling:
        """Return `sampling` restricted to one group of scales: its tenths, equally likely, the same
        for height and width."""
        ends = [10 * end for end in (1.0, *self.training.scale_groups)]
        tenths = range(round(ends[group]) + 1, round(ends[group + 1]) + 1)
        scales = [tenth / 10 for tenth in tenths]
        return replace(sampling, anchors=scales, anchor_probability=1.0, unequal_probability=0.0)

    @property
    def scales(self) -> tuple[float, float]:
        """The smallest and largest trained scale."""
        sampling = self.sampling
        if self.training.recipe == "algorithm_1":
            return sampling.low, self.training.scale_groups[-1]
        drawn = (sampling.low, sampling.high, *sampling.anchors)
        return min(drawn), max(drawn)

    def progress(self, step: int) -> float:
        """Return the part of the steps done before `step`, from 0 to 1."""
        return step / max(1, self.training.steps)

    @property
    def crop_side(self) -> int:
        """The longest side in pixels of a crop that any step may draw."""
        patches = [patch for _, patch in self.training.patch_stages] or [self.sampling.patch]
        return self.crop_side_of(max(patches))

    def crop_side_of(self, patch: int) -> int:
        """Return the longest side in pixels of a crop that a step with this patch may draw."""
        largest = replace(self.sampling, patch=patch)
        if self.training.recipe == "algorithm_1":
            largest = self.sampling_of_group(largest, len(self.training.scale_groups) - 1)
        return largest.crop_side


def learning_rate(training: Training, step: int) -> float:
    """Return the learning rate of a step by `training.schedule`."""
    rise = (step + 1) / max(1, training.warmup_steps)
    if training.schedule == "cosine":
        done = (step - training.warmup_steps) / max(1, training.steps - training.warmup_steps)
        fall = 0.5 + 0.5 * math.cos(math.pi * min(1.0, max(0.0, done)))
    else:
        fall = (training.steps - step) / max(1.0, training.cooldown * training.steps)
    return training.learning_rate * max(0.0, min(1.0, rise, fall))


def _parts(table: object, *settings: str) -> None:
    """Raise ValueError for a setting that is no part of a whole."""
    for setting in settings:
        if not 0 <= getattr(table, setting) <= 1:
            raise ValueError(f"{setting} must lie in [0, 1], got {getattr(table, setting)}")


def _at_least_one(table: object, *settings: str) -> None:
    for setting in settings:
        if getattr(table, setting) < 1:
            raise ValueError(f"{setting} must be at least 1, got {getattr(table, setting)}")


def _one_of(setting: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise ValueError(f"{setting} must be one of {', '.join(known)}; got {value!r}")
