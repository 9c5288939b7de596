"""`anysr webhooks`: the webhooks of a service that were given up."""

from __future__ import annotations

from typing import Annotated, Any

import httpx
import typer
from rich.table import Table

from cli.terminal import console

app = typer.Typer(help="Show and resend webhooks that were given up.", no_args_is_help=True)

Server = Annotated[str, typer.Option(help="URL of the gateway.")]
Key = Annotated[str, typer.Option("--admin-key", envvar="ANYSR_ADMIN_KEY", help="Its admin key.")]
LOCAL = "http://127.0.0.1:8000"


@app.command()
def dead(server: Server = LOCAL, key: Key = "") -> None:
    """List the webhooks that were given up, newest first; the last 1000 are kept."""
    table = Table(title="webhooks that were given up")
    for heading in ("job", "ended as", "host", "attempts", "last answer"):
        table.add_column(heading)
    for job in _asked("GET", server, key, "/admin/webhooks/dead"):
        webhook = job["webhook"]
        cells = (webhook["host"], str(webhook["attempts"]), webhook["last_answer"] or "")
        table.add_row(job["id"], job["status"], *cells)
    console().print(table)


@app.command()
def resend(
    jobs: Annotated[list[str] | None, typer.Argument(help="Ids of jobs.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All that were given up.")] = False,
    server: Server = LOCAL,
    key: Key = "",
) -> None:
    """Send webhooks again that were given up."""
    if every == bool(jobs):
        raise typer.BadParameter("name jobs, or --all")
    listed = _asked("GET", server, key, "/admin/webhooks/dead") if every else []
    ids = jobs or [job["id"] for job in listed]
    for job_id in ids:
        _asked("POST", server, key, f"/admin/webhooks/{job_id}/resend")
    typer.echo(f"{len(ids)} will be sent again")


def _asked(method: str, server: str, key: str, path: str) -> Any:
    """Return the answer of an admin's request; on an error, say it and leave with status 1."""
    try:
        headers = {"Authorization": f"Bearer {key}"}
        answer = httpx.request(method, server.rstrip("/") + path, headers=headers)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        typer.echo(f"{server} cannot be reached: {error}", err=True)
        raise typer.Exit(1) from None
    if answer.is_error:
        typer.echo(_detail(answer), err=True)
        raise typer.Exit(1)
    return answer.json()


def _detail(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"{answer.url} answered {answer.status_code}"
