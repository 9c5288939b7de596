"""What became of each request, as lines of a file."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TextIO


class Fault(Exception):
    """An answer that the service must not give."""


class Refused(Exception):
    """A refusal that the service may give, by its code."""


@dataclass(frozen=True)
class Outcome:
    """One line. Moments are seconds since the start."""

    number: int
    way: str
    began: float
    ended: float
    result: str
    """`fine`, the code of a refusal, or what is wrong."""
    fault: bool
    late: bool
    """Whether a job has ended after its deadline, by the service's own clock."""


class OutcomeFile:
    """Writes outcomes as they come."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._lines = csv.writer(file)
        self._lines.writerow(field.name for field in fields(Outcome))

    def add(self, outcome: Outcome) -> None:
        """Write one, at once."""
        self._lines.writerow(asdict(outcome).values())
        self._file.flush()


def read_outcomes(path: Path) -> list[Outcome]:
    """Return the outcomes of a file."""
    with path.open(newline="") as file:
        return list(_outcomes(csv.DictReader(file)))


def _outcomes(lines: Iterable[dict[str, str]]) -> Iterable[Outcome]:
    for line in lines:
        yield Outcome(
            int(line["number"]),
            line["way"],
            float(line["began"]),
            float(line["ended"]),
            line["result"],
            line["fault"] == "True",
            line["late"] == "True",
        )
