"""The `anysr` command: one file per group of subcommands; heavy imports are inside them."""

from __future__ import annotations

from typing import Annotated

import typer

from cli import (
    add,
    bench,
    calibrate,
    convert,
    evaluate,
    export,
    keys,
    link,
    models,
    quantise,
    serve,
    simulate,
    train,
    upscale,
    webhooks,
)
from cli.sentences import Commands

app = typer.Typer(
    name="anysr",
    help="Upscale pictures at any real scale, within a latency budget.",
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # names of files in messages are no markup
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"anysr {version('anysr-serve')}")
        raise typer.Exit


@app.callback()
def anysr(
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version."),
    ] = False,
) -> None:
    """Upscale pictures at any real scale, within a latency budget."""


app.command()(serve.serve)
app.command()(serve.gateway)
app.command()(serve.worker)
app.command()(upscale.upscale)
app.command()(calibrate.calibrate)
app.command()(simulate.simulate)
app.command()(train.train)
app.command()(evaluate.evaluate)
app.command()(export.export)
app.command()(quantise.quantise)
app.command()(convert.convert)
app.command()(add.add)
app.command()(models.models)
app.command()(link.link)
app.add_typer(keys.app, name="keys")
app.add_typer(bench.app, name="bench")
app.add_typer(webhooks.app, name="webhooks")

if __name__ == "__main__":
    app()
