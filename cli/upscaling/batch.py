"""Makes the pictures of a plan one after the other, and says what became of each."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from rich.progress import Progress

from cli.sentences import reason
from cli.terminal import line, progress, shown
from cli.upscaling.plan import Plan, Step, named_for
from cli.upscaling.results import Results
from cli.upscaling.sources import Source
from cli.upscaling.upscaler import Outcome, ServiceGone, Upscaler
from jobs.errors import AnysrError, BodyTooLarge, InvalidRequest

MOST_BYTES = 1 << 30
"""Largest file that is read: more than any picture within the default limits on memory."""
SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]


class Signalled(BaseException):
    """A signal asks the run to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number


@dataclass
class Counts:
    """What became of the pictures of a run."""

    skipped: int = 0
    failed: int = 0
    made: int = 0
    left: int = 0
    """Not tried, because the run ended early."""

    @property
    def summary(self) -> str:
        left = f", {self.left} not tried" if self.left else ""
        return f"{self.made} made, {self.skipped} skipped, {self.failed} failed{left}"


class Batch:
    """One run of a plan. Messages go to standard error where `to_stdout` sends the picture to
    standard output."""

    def __init__(
        self, upscaler: Upscaler, results: Results, counts: Counts, to_stdout: bool
    ) -> None:
        self.counts = counts
        self._upscaler = upscaler
        self._results = results
        self._to_stdout = to_stdout

    def run(self, plan: Plan) -> None:
        """Make all pictures. Raises Signalled when a signal ends the run; what is made by then
        stays."""
        self.counts.left = len(plan.steps)
        with progress() as bars:
            task = bars.add_task("Upscaling", total=len(plan.steps))
            for step in plan.steps:
                try:
                    self._make(step, bars)
                except ServiceGone as error:
                    self._fail(step, str(error), bars)
                    return
                bars.advance(task)

    def _make(self, step: Step, bars: Progress) -> None:
        try:
            outcome = self._upscaler.upscale(read_picture(step.source))
            place = self._deliver(step, outcome)
        except AnysrError as error:
            self._fail(step, _words(error), bars)
        except BrokenPipeError:
            raise
        except OSError as error:
            self._fail(step, _of_system(error, step.source), bars)
        else:
            self.counts.made += 1
            self.counts.left -= 1
            made = f"{shown(step.source.name)} -> {shown(place)}: {shown(outcome.summary)}"
            line(made, bars, error=self._to_stdout)

    def _deliver(self, step: Step, outcome: Outcome) -> str:
        """Hand a picture over, and return where it went."""
        if step.target is None:
            sys.stdout.buffer.write(outcome.picture)
            sys.stdout.buffer.flush()
            return "standard output"
        # A service may name another format than the one that the file's first bytes showed.
        target = named_for(step.target, outcome.format)
        self._results.write(target, outcome.picture)
        return str(target)

    def _fail(self, step: Step, words: str, bars: Progress) -> None:
        self.counts.failed += 1
        self.counts.left -= 1
        line(f"{shown(step.source.name)}: {words}", bars, error=True)


def read_picture(source: Source) -> bytes:
    """Return a picture's bytes. Raises OSError, and BodyTooLarge beyond `MOST_BYTES`."""
    if source.path is None:
        data = sys.stdin.buffer.read(MOST_BYTES + 1)
    else:
        if not source.path.is_file() and source.path.exists():
            raise OSError(0, "is no file; standard input is read for -", str(source.path))
        with source.path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise BodyTooLarge(f"is larger than {MOST_BYTES >> 20} MiB, the most that is read")
    return data


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Raise Signalled inside the block at Ctrl-C, or when the process is asked to end."""

    def stop(number: int, _frame: FrameType | None) -> None:
        raise Signalled(number)

    # A signal that is ignored, as by nohup, stays so.
    heeded = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, stop) for number in heeded}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _of_system(error: OSError, source: Source) -> str:
    """Return a system's error for a line that begins with the source's name."""
    return (error.strerror or str(error)) if error.filename == str(source.path) else reason(error)


def _words(error: AnysrError) -> str:
    if isinstance(error, InvalidRequest):
        return f"{shown(error.detail)} (see anysr upscale --help)"
    return shown(error.detail)
