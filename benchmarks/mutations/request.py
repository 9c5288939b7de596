"""One mutated request, drawn by the seed of a run and its number alone."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from benchmarks.mutations.operators import OPERATORS, splice
from benchmarks.png_checksums import with_checksums
from benchmarks.specimens import refused_specimens, specimens
from jobs.formats import WRITTEN, ImageFormat

BUDGET_MS = 5000
"""Budget of each request, so that a mutated size of many pixels is resampled or refused, and the
run ends."""
SCALES = ("1", "1.37", "2", "4")
MEDIA_TYPES = (*(f.media_type for f in ImageFormat), "application/octet-stream")
LONGER_SPECIMEN = b"\0" * 16
"""Stands in for a file that a mutation left empty."""


@dataclass(frozen=True)
class MutatedRequest:
    """A damaged picture and how it is sent."""

    number: int
    specimen: str
    """Name of the picture that was mutated."""
    applied: tuple[str, ...]
    """Names of the operators, in order."""
    picture: bytes
    media_type: str
    parameters: dict[str, str]
    as_form: bool
    """Sent as multipart/form-data; else as the body."""

    def __str__(self) -> str:
        steps = ", ".join(self.applied)
        given = " ".join(f"{name}={value}" for name, value in self.parameters.items())
        way = "form" if self.as_form else self.media_type
        return f"{self.specimen}: {steps}; {len(self.picture)} bytes as {way}, {given}"


def drawn_request(seed: int, number: int) -> MutatedRequest:
    """Return the request of this number; the same at each call."""
    rng = Random(f"{seed}:{number}")
    pool = specimens() | refused_specimens()
    name = rng.choice(list(pool))
    applied, picture = _mutated(pool[name], list(pool.values()), rng)
    parameters = {"scale": rng.choice(SCALES), "latency_budget_ms": str(BUDGET_MS)}
    output = rng.choice((None, *WRITTEN))
    if output is not None:
        parameters["format"] = output.value
    return MutatedRequest(
        number=number,
        specimen=name,
        applied=applied,
        picture=picture,
        media_type=rng.choice(MEDIA_TYPES),
        parameters=parameters,
        as_form=rng.random() < 0.3,
    )


def _mutated(data: bytes, others: list[bytes], rng: Random) -> tuple[tuple[str, ...], bytes]:
    """Return the names of the mutations and the mutated file, never empty."""
    names = []
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        if rng.random() < 0.1:
            names.append("splice")
            data = splice(data, rng.choice(others), rng)
        else:
            operator = rng.choice(OPERATORS)
            names.append(operator.__name__)
            data = operator(data, rng)
        data = data or LONGER_SPECIMEN
    if rng.random() < 0.75:
        names.append("checksums")
        data = with_checksums(data)
    return tuple(names), data
