"""The `anysr` command: one file per group of subcommands; heavy imports are inside them."""

from __future__ import annotations

import typer

from cli import (
    add,
    bench,
    calibrate,
    convert,
    evaluate,
    export,
    models,
    quantise,
    serve,
    simulate,
    train,
    upscale,
)

app = typer.Typer(
    name="anysr",
    help="Upscale pictures at any real scale, within a latency budget.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
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
app.add_typer(bench.app, name="bench")

if __name__ == "__main__":
    app()
