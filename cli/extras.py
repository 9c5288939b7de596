"""A clear word when an optional part of the installation is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer


@contextmanager
def needs(extra: str) -> Iterator[None]:
    """Turn a missing import into the command that installs it."""
    try:
        yield
    except ModuleNotFoundError as error:
        typer.echo(
            f"This command needs {error.name}, which is not installed. Run: "
            f'pip install "torch==2.13.0" && pip install -e ".[cpu,{extra}]"',
            err=True,
        )
        raise typer.Exit(2) from error
