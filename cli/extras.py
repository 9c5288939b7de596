"""A clear error when an optional part of the installation is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer

WITH_TORCH = ("train", "torch")
"""Extras that need torch, which is installed first and pinned."""


@contextmanager
def needs(extra: str) -> Iterator[None]:
    """Turn a missing import into an error that names the command to install it."""
    try:
        yield
    except ModuleNotFoundError as error:
        torch = 'pip install "torch==2.13.0" && ' if extra in WITH_TORCH else ""
        typer.echo(
            f"This command needs {error.name}, which is not installed. Run: "
            f'{torch}pip install -e ".[cpu,{extra}]"',
            err=True,
        )
        raise typer.Exit(2) from error
