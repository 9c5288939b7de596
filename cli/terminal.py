"""Output of the commands: foreign text is printed as it is, on any terminal.

Names of files, models and strategies are foreign text. Rich would read `[red]` in them as markup,
`:smile:` as a picture and numbers as something to colour, a terminal would obey escape sequences,
and an encoding may lack their characters.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

UNDECODED = range(0xDC80, 0xDD00)
"""The code points that stand for bytes of file names that are not UTF-8 (PEP 383)."""


def prepare_streams() -> None:
    """Let standard output and error escape what their encoding lacks instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            with contextlib.suppress(ValueError):  # closed
                stream.reconfigure(errors="backslashreplace")


def shown(text: str | Path) -> str:
    r"""Return foreign text for a line of output: line breaks, escape sequences, invisible
    characters and bytes that are not UTF-8 are escaped, as \n, \x1b, \u202e and \xff."""
    return "".join(map(_shown, os.fspath(text)))


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    if ord(character) in UNDECODED:
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


def line(text: str, beside: Progress | None = None, error: bool = False) -> None:
    """Write a line to standard output or error, above progress bars on the same terminal."""
    stream = sys.stderr if error else sys.stdout
    if beside is not None and not beside.disable and stream.isatty():
        beside.console.print(Text(text), soft_wrap=True)
    else:
        print(text, file=stream, flush=True)


def console(width: int | None = None, error: bool = False) -> Console:
    """Return a console without markup, for tables; `width` in columns."""
    return Console(width=width, stderr=error, markup=False, emoji=False, highlight=False)


def progress(
    *more: ProgressColumn, on: Console | None = None, elapsed: bool = False, refresh: float = 10
) -> Progress:
    """Return progress bars on standard error, shown on terminals alone and removed at the end:
    description, bar, counts, times, and `more`."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        *((TimeElapsedColumn(),) if elapsed else ()),
        TimeRemainingColumn(),
    )
    shown_on = on or console(error=True)
    return Progress(
        *columns,
        *more,
        console=shown_on,
        transient=True,
        refresh_per_second=refresh,
        redirect_stdout=False,
        redirect_stderr=False,
        disable=not shown_on.is_terminal,
    )
