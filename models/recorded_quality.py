"""Measured quality in the catalog, and in the card that shows it. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from models.card import refresh
from models.catalog import ModelEntry, QualityEntry, read_catalog, register

if TYPE_CHECKING:
    from models.evaluate import Score

REFERENCE = "bicubic"
"""The name under which results hold Pillow's bicubic, beside the widths."""


def record_quality(
    folder: Path, model: str, dataset: str, results: Mapping[str, Sequence[Score]]
) -> None:
    """Write scores on a data set, by width, to a model's entry in place of older ones, and renew
    its card. `results` may hold those of `REFERENCE`, which are left out."""
    entry = read_catalog(folder).get(model)
    measured = {
        (dataset, s.scale, float(name)): QualityEntry(
            dataset=dataset,
            scale=s.scale,
            width=float(name),
            psnr_y=round(s.psnr_y, 3),
            ssim=round(s.ssim, 4),
        )
        for name, scores in results.items()
        if name != REFERENCE
        for s in scores
    }
    kept = [q for q in entry.quality if (q.dataset, q.scale, q.width) not in measured]
    rows = sorted((*kept, *measured.values()), key=lambda q: (q.dataset, q.scale, q.width))
    changed = entry.model_copy(update={"quality": tuple(rows)})
    register(folder, changed)
    renew_card(folder, changed)


def renew_card(folder: Path, entry: ModelEntry) -> None:
    """Write an entry's figures to its card, where there is one."""
    card = folder / f"{entry.name}.md"
    if card.exists():
        card.write_text(refresh(card.read_text(), entry))
