"""What a run found, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.soak.slopes import MOST_PERCENT, NAMES
from benchmarks.soak.standing import Standing
from benchmarks.soak.verdict import Verdict

RESTS = ("first rest", "second", "third", "last")


def report(verdict: Verdict) -> str:
    """Return all tables, each after a sentence."""
    return "\n\n".join(
        (
            _summary(verdict),
            _slopes(verdict),
            _standing(verdict),
            _ways(verdict),
            *_broken(verdict),
        )
    )


def _summary(verdict: Verdict) -> str:
    requests = sum(way.requests for way in verdict.ways)
    paused = sum(pause.ended - pause.began for pause in verdict.pauses)
    replaced = ", ".join(f"{count} {role}" for role, count in verdict.replaced.items()) or "none"
    return (
        f"{verdict.seconds / 60:.0f} of {verdict.plan.minutes:g} minutes, seed "
        f"{verdict.plan.seed}: {requests:,} requests, {verdict.cores:.2f} cores. Callers were "
        f"suspended {len(verdict.pauses)} times, for {paused:.0f} s in all. Replaced processes: "
        f"{replaced}. Faults: {len(verdict.faults)}, and {verdict.unseen} of suspended callers."
    )


def _slopes(verdict: Verdict) -> str:
    lines = [
        "| resident memory | samples | median, MB "
        f"| % an hour (at most {MOST_PERCENT:g}) | of 95 % |",
        "|---|---|---|---|---|",
    ]
    for slope in verdict.slopes:
        interval = f"{slope.low:+.2f} to {slope.high:+.2f}"
        figures = (
            f"{slope.samples} | {slope.median_mb:.1f} | {_marked(slope.percent, slope.broken)}"
        )
        name = f"{slope.role}, {NAMES[slope.phase]}"
        lines.append(f"| {name} | {figures} | {interval} |")
    return "\n".join(lines)


def _marked(percent: float, broken: bool) -> str:
    return f"**{percent:+.2f}**" if broken else f"{percent:+.2f}"


def _standing(verdict: Verdict) -> str:
    count = max((len(standing.counts) for standing in verdict.standing), default=0)
    names = RESTS[:count]
    lines = [f"| at the end of the | {' | '.join(names)} |", "|---" * (count + 1) + "|"]
    lines += [_row(standing, count) for standing in verdict.standing]
    return "\n".join(lines)


def _row(standing: Standing, count: int) -> str:
    name = f"{standing.role}, {standing.what}" if standing.role else standing.what
    cells = [f"{value:,.0f}" for value in standing.counts]
    cells += [""] * (count - len(cells))
    if standing.leaked:
        cells[-1] = f"**{cells[-1]}**"
    return f"| {name} | {' | '.join(cells)} |"


def _ways(verdict: Verdict) -> str:
    lines = ["| callers | requests | fine | refused | late |", "|---|---|---|---|---|"]
    lines += [
        f"| {way.way} | {way.requests} | {way.fine} | {way.refused} | {way.late} |"
        for way in verdict.ways
    ]
    return "\n".join(lines)


def _broken(verdict: Verdict) -> Iterable[str]:
    if verdict.broken:
        yield "\n".join(f"- {sentence}" for sentence in verdict.broken)
