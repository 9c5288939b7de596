"""The names of a job's stages: decoding, the network of a rung or resampling, encoding."""

from __future__ import annotations

from functools import lru_cache

from scheduling.rungs import FLOOR, Rung
from scheduling.work import Work

DECODE = "decode"
"""Of any format. Its line is for formats without one of their own (`decode_stage`)."""
NETWORK = "network"
"""Kind of the networks' stages: all widths of all models share one slowdown."""
FLOOR_STAGE = f"floor:{FLOOR.model}"
"""A kind of its own, because the speed of plain resampling does not predict that of networks."""


@lru_cache(1024)
def stage_of(rung: Rung) -> str:
    """Return the name of the stage that computes a rung's pixels."""
    return FLOOR_STAGE if rung == FLOOR else f"{NETWORK}:{rung.key}"


def model_stage(stage: str) -> str:
    """Return a stage's name without its width: equal for all widths of one model."""
    return stage.rpartition("@")[0] or stage


def decode_stage(source_format: str) -> str:
    """Return the name of a format's own decoding stage."""
    return f"{DECODE}:{source_format}"


def encode_stage(output_format: str) -> str:
    """Return the name of a format's encoding stage."""
    return f"encode:{output_format}"


@lru_cache(1024)
def kind_of(stage: str) -> str:
    """Return the kind of a stage: equal for all networks, and for the decoding and encoding of
    all formats."""
    return stage.partition(":")[0]


def work_in(stage: str, work: Work) -> Work:
    """Return a job's work as a stage sees it: networks run in tiles, whose halos count."""
    return work.in_tiles() if kind_of(stage) == NETWORK else work
