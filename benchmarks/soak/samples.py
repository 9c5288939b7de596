"""Samples as lines of two files: one line for each process, and one for the stores."""

from __future__ import annotations

import csv
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Generic, TextIO, TypeVar

from benchmarks.soak.folder import PROCESSES, STORES
from benchmarks.soak.processes import ProcessSample
from benchmarks.soak.stores import StoreSample

MOMENT = ("at_s", "phase")
Sampled = TypeVar("Sampled")


@dataclass(frozen=True)
class Moment(Generic[Sampled]):
    """A sample and its time."""

    at_s: float
    """Seconds since the start."""
    phase: str
    sample: Sampled


class SampleFiles:
    """Writes both files as samples come."""

    def __init__(self, processes: TextIO, stores: TextIO) -> None:
        self._files = processes, stores
        self._processes, self._stores = csv.writer(processes), csv.writer(stores)
        self._processes.writerow((*MOMENT, *_names(ProcessSample)))
        self._stores.writerow((*MOMENT, *_names(StoreSample)))

    def add(
        self, at_s: float, phase: str, processes: list[ProcessSample], store: StoreSample
    ) -> None:
        """Write what was found at a moment, at once."""
        for process in processes:
            self._processes.writerow((f"{at_s:.3f}", phase, *astuple(process)))
        self._stores.writerow((f"{at_s:.3f}", phase, *astuple(store)))
        for file in self._files:
            file.flush()


def read_processes(folder: Path) -> list[Moment[ProcessSample]]:
    """Return all samples of processes of a run."""
    return [_process(line) for line in _lines(folder / PROCESSES)]


def read_stores(folder: Path) -> list[Moment[StoreSample]]:
    """Return all samples of the stores of a run."""
    return [
        Moment(float(at_s), phase, StoreSample(*map(int, numbers)))
        for at_s, phase, *numbers in _lines(folder / STORES)
    ]


def _process(line: list[str]) -> Moment[ProcessSample]:
    at_s, phase, role, *numbers = line
    *counts, cpu_s = numbers
    pid, rss, pss, uss, files, sockets, threads = map(int, counts)
    sample = ProcessSample(role, pid, rss, pss, uss, files, sockets, threads, float(cpu_s))
    return Moment(float(at_s), phase, sample)


def _names(kind: type) -> list[str]:
    return [field.name for field in fields(kind)]


def _lines(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))[1:]
