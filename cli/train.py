"""`anysr train`: trains a network with a progress bar; resumes the run in the output folder."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

import typer
from rich.progress import TextColumn

from cli.extras import needs
from cli.terminal import line, progress, shown
from models.wrong_file import WrongFile
from models.zoo import ZOO

if TYPE_CHECKING:
    from models.training.config import Config
    from models.training.trainer import Trainer

CONFIGS = Path(__file__).parent.parent / "models" / "configs"


def train(
    config: Annotated[
        str, typer.Argument(help="A TOML file, or the name of one in models/configs.")
    ],
    data: Annotated[
        list[Path],
        typer.Option(help="Folder of photographs; repeatable. It may change between runs."),
    ],
    output: Annotated[
        Path, typer.Option(help="Folder of checkpoints; a run found there is resumed.")
    ],
    validation: Annotated[
        Path | None,
        typer.Option(help="Folder of validation images; default: the first of --data."),
    ] = None,
    grow_from: Annotated[
        Path | None,
        typer.Option(help="Weights of a smaller trained network to start a new run from."),
    ] = None,
    network: Annotated[
        str | None,
        typer.Option(help="A name of `anysr models`; default: the network of the config."),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Number of steps in all; default: that of the config.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto.")] = "auto",
    minutes: Annotated[
        float,
        typer.Option(
            min=0, help="Stop after so many minutes, including reading; run again to continue."
        ),
    ] = float("inf"),
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads.")] = None,
) -> None:
    """Train a network on folders of photographs."""
    stop_at = time.monotonic() + 60 * minutes
    with needs("train"):
        import torch

        from models.training.run import Data, run_training
    if threads is not None:
        torch.set_num_threads(threads)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    _check_device(device)
    run = _with_network(_read_config(config), network)
    if steps is not None:
        run = replace(run, training=replace(run.training, steps=steps))
    with _Progress() as progress:
        try:
            trainer = run_training(
                run,
                Data(data, validation),
                output,
                device=device,
                grow_from=grow_from,
                stop_at=stop_at,
                observer=progress,
            )
        except WrongFile:
            raise
        except ValueError as error:
            raise typer.BadParameter(f"{config}: {error}") from error
    typer.echo(f"Step {trainer.step} of {run.training.steps}; {output / 'weights.safetensors'}")


class _Progress:
    """Shows a run as progress bars (`models.training.run.Observer`)."""

    def __init__(self) -> None:
        facts = TextColumn("{task.fields[facts]}", markup=False)
        self._progress = progress(facts, elapsed=True)
        self._reading = self._progress.add_task("Reading photographs", total=None, facts="")
        self._training = self._progress.add_task("Training", total=None, facts="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def started(self, trainer: Trainer, resumed: bool, photographs: int) -> None:
        if resumed:
            line(f"Resuming {shown(trainer.output)} at step {trainer.step}.", self._progress)
        self._progress.update(self._reading, total=photographs)
        total = trainer.config.training.steps
        self._progress.update(self._training, total=total, completed=trainer.step)

    def read(self, count: int) -> None:
        self._progress.update(self._reading, completed=count)

    def report(self, facts: dict[str, Any]) -> None:
        if "psnr" in facts:
            line(f"step {facts['step']}: validation PSNR {facts['psnr']}", self._progress)
        elif "revived_channels" in facts:
            line(f"{facts['revived_channels']} dead channels were started anew.", self._progress)
        elif "dead_channels" in facts:
            dead = f"{facts['dead_channels']} channels are dead: lower the learning rate."
            line(dead, self._progress)
        elif "loss" in facts:
            self._progress.update(self._training, completed=facts["step"], facts=_describe(facts))


def _describe(facts: dict[str, Any]) -> str:
    return (
        f"loss {facts['loss']:.4f}, {facts['steps_per_s']:.1f} steps/s,"
        f" {facts['images_per_s']:.0f} images/s, {facts['tflop_per_s']:.3g} TFLOP/s"
        f" ({facts['of_peak']:.0%} of peak)"
    )


def _with_network(config: Config, name: str | None) -> Config:
    if name is None:
        return config
    if name not in ZOO:
        raise typer.BadParameter(f"no network {name!r}; `anysr models` lists them")
    return replace(config, network=ZOO[name])


def _read_config(config: str) -> Config:
    from models.training.config import Config
    from models.weights_file import MOST_TENSORS, skeleton

    path = Path(config)
    if path.suffix != ".toml":
        path = CONFIGS / f"{config}.toml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in CONFIGS.glob("*.toml")))
        raise typer.BadParameter(f"no config {path}; known names: {known}")
    try:
        read = Config.read(path)
        skeleton(read.network, MOST_TENSORS)
    except ValueError as error:
        raise typer.BadParameter(f"{shown(path)}: {error}") from error
    return read


def _check_device(name: str) -> None:
    import torch

    if not re.fullmatch(r"cpu|cuda(:\d+)?", name):
        raise typer.BadParameter(f"--device must be cpu, cuda or auto, got '{shown(name)}'")
    try:
        torch.empty(1, device=name)
    except (AssertionError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise typer.BadParameter(f"no device {shown(name)}: {reason}") from error
