"""The ladder: the rungs from the cheapest to the best way to make a picture."""

from __future__ import annotations

from dataclasses import dataclass

from models.catalog import ModelEntry


@dataclass(frozen=True)
class Rung:
    """A model at a width: a fraction of its full width, or 0 for the resampling floor."""

    model: str
    width: float


FLOOR = Rung("lanczos", 0.0)
"""Plain resampling: the last resort, only for callers who allow it."""


def ladder(model: ModelEntry) -> tuple[Rung, ...]:
    """Return a model's rungs, narrowest first, without the floor."""
    return tuple(Rung(model.name, entry.width) for entry in model.widths)
