"""`anysr keys`: makes, lists and revokes the keys of clients."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from cli.sentences import WRONG_USAGE, fail
from cli.terminal import console, line, shown
from service.access.key_file import NAME, ClientEntry, read_key_file

app = typer.Typer(
    help="Make, list and revoke the keys of clients, in the file of ANYSR_KEYS.",
    no_args_is_help=True,
)

KeyFileOption = Annotated[
    Path | None, typer.Option("--file", help="The file of keys.", envvar="ANYSR_KEYS")
]
LIMITS = (
    "requests_per_second",
    "burst",
    "pixels_per_day",
    "jobs_waiting",
    "max_budget_ms",
    "share",
)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Name of the client; it may have several keys.")],
    requests_per_second: Annotated[
        float | None, typer.Option(help="Requests a second, on average.")
    ] = None,
    burst: Annotated[
        int | None, typer.Option(help="Requests at once; default: those of two seconds.")
    ] = None,
    pixels_per_day: Annotated[
        int | None, typer.Option(help="Output pixels in a day of UTC.")
    ] = None,
    jobs_waiting: Annotated[
        int | None, typer.Option(help="Jobs that may wait in the queue.")
    ] = None,
    max_budget_ms: Annotated[
        float | None, typer.Option(help="Largest latency budget, in ms.")
    ] = None,
    share: Annotated[
        int | None, typer.Option(help="Weight against other clients under load; default: 1.")
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="A model that it may name; once for each.")
    ] = None,
    file: KeyFileOption = None,
) -> None:
    """Make a key of a client, and print it: this once, because only its hash is kept.

    Limits are those of the client, whatever key it sends; what is left out stays as it is.
    """
    from cli.key_edits import add_key

    if not re.fullmatch(NAME, name):
        raise typer.BadParameter(
            f"the name {shown(name)} must be 1 to 64 letters, digits, dots, dashes or "
            "underscores, and begin with a letter or digit"
        )
    given = {
        "requests_per_second": requests_per_second,
        "burst": burst,
        "pixels_per_day": pixels_per_day,
        "jobs_waiting": jobs_waiting,
        "max_budget_ms": max_budget_ms,
        "share": share,
        "models": model or None,
    }
    path = _path(file)
    token = add_key(path, name, {key: value for key, value in given.items() if value is not None})
    line(str(token))
    line(
        f"This is a key of {name}, shown this once. Gateways that read {shown(path)} accept it "
        "within two seconds.",
        error=True,
    )


@app.command("list")
def list_keys(file: KeyFileOption = None) -> None:
    """List clients, their limits, and the ids of their keys."""
    path = _path(file)
    table = Table(title=f"Keys in {shown(path)}")
    for heading in ("client", "key", "created", "limits of the client"):
        table.add_column(heading)
    for name, entry in read_key_file(path).clients.items():
        keys = [(key.id, str(key.created or "")) for key in entry.keys] or [("none", "")]
        for place, (key_id, created) in enumerate(keys):
            limits = "" if place else ", ".join(_limits(entry)) or "none"
            table.add_row("" if place else name, key_id, created, limits)
    usual = console()
    (usual if usual.is_terminal else console(width=240)).print(table)


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the key, as listed.")],
    file: KeyFileOption = None,
) -> None:
    """Revoke a key: gateways refuse it within two seconds. Other keys of its client stay."""
    from cli.key_edits import remove_key

    path = _path(file)
    client = remove_key(path, key_id)
    if client is None:
        fail(f"There is no key {key_id} in {path}; `anysr keys list` shows the ids.", WRONG_USAGE)
    line(f"The key {key_id} of {client} is revoked.")


def _limits(entry: ClientEntry) -> Iterator[str]:
    for name in LIMITS:
        value = getattr(entry, name)
        if value is not None:
            yield f"{name} {value:,g}" if isinstance(value, float) else f"{name} {value:,}"
    if entry.models is not None:
        yield f"models {shown(' '.join(entry.models)) or 'none'}"


def _path(file: Path | None) -> Path:
    if file is None:
        fail("Name the file of keys by --file, or by ANYSR_KEYS.", WRONG_USAGE)
    return file
