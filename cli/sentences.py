"""What a person did wrong is answered with one sentence, whatever the command: a wrong setting, a
file of another kind, a folder that cannot be written. Only errors of ours end in a traceback."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from cli.terminal import line, prepare_streams, shown
from jobs.errors import AnysrError
from jobs.server_process import RedisUnavailableError
from jobs.settings_errors import SettingsError
from models.catalog import CatalogError
from models.wrong_file import WrongFile
from telemetry.tracing import TracingMissing
from workers.runtimes.base import RuntimeMissing

FAILED, WRONG_USAGE = 1, 2
"""Exit codes."""

SENTENCES = (
    AnysrError,
    CatalogError,
    RedisUnavailableError,
    RuntimeMissing,
    TracingMissing,
    WrongFile,
)
"""Errors whose text is the sentence."""


class Commands(TyperGroup):
    """The group of all commands."""

    def invoke(self, ctx: Any) -> object:
        """Run a command; its errors are sentences, and its output may have any characters."""
        prepare_streams()
        with sentences():
            result: object = super().invoke(ctx)
            return result


@contextlib.contextmanager
def sentences() -> Iterator[None]:
    """End a command with one sentence per fault, and the exit code 1, or 2 for a wrong setting."""
    try:
        yield
    except SettingsError as error:
        fail(str(error), WRONG_USAGE, error)
    except SENTENCES as error:
        fail(str(error), FAILED, error)
    except BrokenPipeError:
        raise
    except OSError as error:
        fail(reason(error), FAILED, error)


def fail(text: str, code: int, cause: Exception | None = None) -> NoReturn:
    """Write each line of `text` to standard error, and end with an exit code."""
    for sentence in text.splitlines():
        line(shown(sentence), error=True)
    raise typer.Exit(code) from cause


def reason(error: OSError) -> str:
    """Return a system's error as a sentence that names its file."""
    words = error.strerror or str(error) or type(error).__name__
    return words if error.filename is None else f"{shown(str(error.filename))}: {words}"
