"""What one command of `anysr upscale` is about: its pictures, and where they go."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cli.sentences import reason
from cli.terminal import line, shown
from cli.upscaling.plan import Existing, Output, Plan, plan
from cli.upscaling.refusal import Refusal
from cli.upscaling.results import Results
from cli.upscaling.sources import Sources, find_sources
from jobs.formats import ImageFormat


@dataclass(frozen=True)
class Prepared:
    """A command that may run."""

    plan: Plan
    output: Output
    format: ImageFormat | None
    """Of all results; None for each picture's own."""
    sources: Sources

    @property
    def to_stdout(self) -> bool:
        """Whether the picture goes to standard output, and messages therefore do not."""
        return self.output.path is None

    def results(self, overwrite: bool) -> Results:
        """Return what writes the results."""
        identities = (source.identity for source in self.sources.taken)
        return Results((one for one in identities if one is not None), overwrite)


def prepare(
    inputs: Sequence[str], output: str, image_format: ImageFormat | None, existing: Existing
) -> Prepared:
    """Return what the arguments of a command mean. Raises Refusal."""
    target = Output.of(output)
    stated = target.format
    if None not in (image_format, stated) and image_format is not stated:
        raise Refusal([f"{output} is named as another format than --format {image_format}"])
    if target.path is None and sys.stdout.isatty():
        raise Refusal(["standard output is a terminal; redirect it, or name a file with -o"])
    made = image_format or stated
    sources = find_sources(inputs, target.folder)
    number = len({source.identity or source for source in sources.taken})
    if not number:
        passed = list(_left_out(sources))
        raise Refusal([*passed, f"there is no picture in {', '.join(inputs)}"])
    if target.one_file and number > 1:
        raise Refusal([f"{output} is one file, but there are {number} inputs; name a folder"])
    return Prepared(plan(sources.taken, target, made, existing), target, made, sources)


def say_what_is_left_out(prepared: Prepared) -> None:
    """Name the files that are not taken, the folders that cannot be read, and what is skipped."""
    for text in _left_out(prepared.sources):
        line(text, error=True)
    for step in prepared.plan.skipped:
        line(f"{shown(step.source.name)}: skipped, {shown(str(step.target))} exists", error=True)


def say_what_would_be_made(prepared: Prepared) -> None:
    """Name each picture and its result."""
    say_what_is_left_out(prepared)
    for step in prepared.plan.steps:
        target = "standard output" if step.target is None else step.target
        line(f"{shown(step.source.name)} -> {shown(target)}", error=prepared.to_stdout)
    made, skipped = len(prepared.plan.steps), len(prepared.plan.skipped)
    line(f"{made} would be made, {skipped} skipped", error=prepared.to_stdout)


def _left_out(sources: Sources) -> Iterator[str]:
    for path, why in sources.passed_over:
        yield f"{shown(path)}: passed over, {why}"
    for error in sources.unread:
        yield f"{reason(error)}; nothing in it is made"
