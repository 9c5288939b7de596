"""`anysr train`: train a network, with a progress bar; resumes what the output folder holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from cli.extras import needs

CONFIGS = Path(__file__).parent.parent / "models" / "configs"


def train(
    config: Annotated[
        str, typer.Argument(help="A TOML file, or the name of one in models/configs.")
    ],
    data: Annotated[
        list[Path],
        typer.Option(help="Folder of photographs; repeatable. The first gives validation."),
    ],
    output: Annotated[
        Path, typer.Option(help="Where checkpoints go; a run found there is resumed.")
    ],
    grow_from: Annotated[
        Path | None,
        typer.Option(help="Weights of a smaller trained network to start a new run from."),
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto.")] = "auto",
    minutes: Annotated[
        float | None, typer.Option(help="Stop after this long; run again to go on.")
    ] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads.")] = None,
) -> None:
    """Train a network on folders of photographs."""
    with needs("train"):
        import torch

        from models.photographs import Photographs
        from models.train import Config, Trainer, training_files
    if threads:
        torch.set_num_threads(threads)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    run = Config.read(_config_path(config))
    trainer = Trainer(run, output, device)
    if trainer.resume():
        typer.echo(f"Resuming {output} at step {trainer.step}.")
    elif grow_from:
        try:
            trainer.grow_from(grow_from)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[facts]}"),
    )
    with Progress(*columns) as progress:
        files, held = training_files(data, run.training.validation_images)
        reading = progress.add_task("Reading photographs", total=len(files), facts="")
        photographs = Photographs(
            files, device, on_read=lambda count: progress.update(reading, completed=count)
        )
        steps = progress.add_task(
            "Training", total=run.training.steps, completed=trainer.step, facts=""
        )

        def report(facts: dict[str, Any]) -> None:
            with (output / "log.jsonl").open("a") as log:
                log.write(json.dumps(facts) + "\n")
            if "psnr" in facts:
                progress.console.print(f"step {facts['step']}: validation PSNR {facts['psnr']}")
            else:
                line = f"loss {facts['loss']:.4f}, {facts['steps_per_s']:.1f} steps/s"
                progress.update(steps, completed=facts["step"], facts=line)

        trainer.run(photographs, held, minutes, report)
        progress.update(steps, completed=trainer.step)
    typer.echo(f"Step {trainer.step} of {run.training.steps}; {output / 'weights.safetensors'}")


def _config_path(config: str) -> Path:
    path = Path(config)
    if path.suffix != ".toml":
        path = CONFIGS / f"{config}.toml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in CONFIGS.glob("*.toml")))
        raise typer.BadParameter(f"no config {path}; known names: {known}")
    return path
