"""Model cards: the prose is written by hand, the quality table from the catalog."""

from __future__ import annotations

from models.catalog import ModelEntry

START, END = "<!-- quality: written by anysr evaluate --record -->", "<!-- /quality -->"


def quality_table(model: ModelEntry) -> str:
    """Return the measured PSNR-Y / SSIM-Y as Markdown, one table per data set."""
    parts = []
    for dataset in sorted({q.dataset for q in model.quality}):
        rows = {(q.width, q.scale): q for q in model.quality if q.dataset == dataset}
        scales = sorted({scale for _, scale in rows})
        lines = [
            f"**{dataset}**, PSNR-Y (dB) / SSIM-Y",
            "",
            "| width | " + " | ".join(f"x{s:g}" for s in scales) + " |",
            "|---|" + "---|" * len(scales),
        ]
        for width in sorted({w for w, _ in rows}, reverse=True):
            cells = (rows.get((width, s)) for s in scales)
            text = " | ".join(f"{q.psnr_y:.2f} / {q.ssim:.4f}" if q else "" for q in cells)
            lines.append(f"| {width:g} | {text} |")
        parts.append("\n".join(lines))
    lost = [f"{w.int8.loss_db:g} dB at width {w.width:g}" for w in model.widths[::-1] if w.int8]
    if lost:
        parts.append(f"In int8 PSNR-Y is lower by {', '.join(lost)} (B100, the scale of most).")
    return "\n\n".join(parts)


def refresh(card: str, model: ModelEntry) -> str:
    """Return a card with its quality table replaced; ValueError if it has no markers for one."""
    before, found, rest = card.partition(START)
    _, closed, after = rest.partition(END)
    if not (found and closed):
        raise ValueError(f"the card has no {START} ... {END}")
    return f"{before}{START}\n{quality_table(model)}\n{END}{after}"
