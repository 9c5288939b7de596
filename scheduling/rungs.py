"""The ladder: the rungs from the cheapest to the best way to make a picture."""

from __future__ import annotations

from dataclasses import dataclass

from models.catalog import ModelEntry


@dataclass(frozen=True)
class Rung:
    """A model at a width: a fraction of its full width, or 0 for the resampling floor."""

    model: str
    width: float

    @property
    def key(self) -> str:
        """The rung as MODEL@WIDTH, such as anysr-m@0.5."""
        return f"{self.model}@{self.width:g}"

    @classmethod
    def parse(cls, text: str) -> Rung:
        """Return the rung of a key; the floor also by its name alone. Raises ValueError."""
        if text == FLOOR.model:
            return FLOOR
        model, _, width = text.rpartition("@")
        try:
            rung = cls(model, float(width))
        except ValueError:
            rung = cls("", 0.0)
        if not rung.model:
            raise ValueError(f"{text!r} is not MODEL@WIDTH, such as anysr-m@1")
        return rung


FLOOR = Rung("lanczos", 0.0)
"""Plain resampling: the last resort, only for callers who allow it."""


def ladder(model: ModelEntry) -> tuple[Rung, ...]:
    """Return a model's rungs, narrowest first, without the floor."""
    return tuple(Rung(model.name, entry.width) for entry in model.widths)
