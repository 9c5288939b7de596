"""Arguments that several commands take; a wrong one is refused before the command works on it."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import typer

from cli.terminal import shown
from models.catalog import CatalogError, ModelEntry, read_catalog

MOST_SCALE = 64.0

Value = TypeVar("Value")


def numbers(text: str, option: str, least: float, most: float) -> list[float]:
    """Return comma-separated numbers; BadParameter unless all are within the bounds."""
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found or not all(math.isfinite(n) and least <= n <= most for n in found):
        raise typer.BadParameter(
            f"{option} must be comma-separated numbers from {least:g} to {most:g}, got "
            f"'{shown(text)}'"
        )
    return found


def each(text: str, make: Callable[[str], Value], option: str) -> list[Value]:
    """Return what `make` makes of each of comma-separated words; it may raise ValueError."""
    try:
        return [make(word) for word in text.split(",")]
    except ValueError as error:
        raise typer.BadParameter(f"{option}: {shown(str(error))}") from error


def scales_of(text: str) -> list[float]:
    """Return the scales of `--scales`."""
    return numbers(text, "--scales", 1.0, MOST_SCALE)


def fractions_of(text: str) -> list[float] | None:
    """Return the widths of `--widths`; None for all."""
    return None if text == "all" else numbers(text, "--widths", 0.001, 1.0)


def entries_of(folder: Path, names: Sequence[str] | None) -> list[ModelEntry]:
    """Return the models of these names in a folder, or all of them."""
    try:
        catalog = read_catalog(folder)
    except CatalogError as error:
        raise typer.BadParameter(str(error)) from error
    known = {entry.name: entry for entry in catalog.models}
    unknown = [name for name in names or () if name not in known]
    if unknown:
        has = ", ".join(known)
        raise typer.BadParameter(f"no model {shown(unknown[0])} in {shown(folder)}; it has {has}")
    return [known[name] for name in (names or known)]


def check_service(url: str | None) -> None:
    """BadParameter unless something answers at a service's address, where one is given."""
    if url is None:
        return
    import httpx

    try:
        httpx.get(url, timeout=30)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise typer.BadParameter(f"{shown(url)} cannot be reached: {error}") from error


def check_writable(*paths: Path | None) -> None:
    """BadParameter for a file that could not be written after minutes of work."""
    for path in paths:
        if path is None:
            continue
        if path.is_dir():
            raise typer.BadParameter(f"{shown(path)} is a folder, and no file")
        target = path if path.exists() else path.absolute().parent
        if not target.exists():
            raise typer.BadParameter(f"there is no folder {shown(target)} for {shown(path.name)}")
        if not os.access(target, os.W_OK):
            raise typer.BadParameter(f"{shown(path)} cannot be written")
