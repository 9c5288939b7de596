"""`anysr webhooks`: the webhooks and pictures that a service could not deliver, and gave up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import httpx
import typer
from rich.markup import escape
from rich.table import Table

from cli.terminal import console

app = typer.Typer(
    help="Show and resend what could not be delivered and was given up.", no_args_is_help=True
)

Server = Annotated[str, typer.Option(help="URL of the gateway.")]
Key = Annotated[str, typer.Option("--admin-key", envvar="ANYSR_ADMIN_KEY", help="Its admin key.")]
LOCAL = "http://127.0.0.1:8000"


@app.command()
def dead(server: Server = LOCAL, key: Key = "") -> None:
    """List the jobs of which a webhook or a picture was given up, newest first; the last 1000 are
    kept."""
    table = Table(title="what was given up")
    for heading in ("job", "ended as", "what", "to", "attempts", "last answer"):
        table.add_column(heading)
    for job in _asked("GET", server, key, "/admin/webhooks/dead"):
        for cells in _given_up(job):
            table.add_row(job["id"], job["status"], *map(escape, cells))
    console().print(table)


def _given_up(job: dict[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """Yield what, where to, number of attempts and last answer of each delivery."""
    picture, webhook = job["destination"], job["webhook"]
    if picture and picture["given_up_ms"] is not None:
        error = picture["error"] or {}
        answer = str(error.get("remote_status", error.get("code", "")))
        yield "picture", picture["place"], str(picture["attempts"]), answer
    if webhook and webhook["given_up_ms"] is not None:
        yield "webhook", webhook["host"], str(webhook["attempts"]), webhook["last_answer"] or ""


@app.command()
def resend(
    jobs: Annotated[list[str] | None, typer.Argument(help="Ids of jobs.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All that were given up.")] = False,
    server: Server = LOCAL,
    key: Key = "",
) -> None:
    """Deliver again what was given up; a webhook follows its picture."""
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
