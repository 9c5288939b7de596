"""A training run from a config and folders of photographs to weights, and its minimal command.

    python -m models.training.run CONFIG --data FOLDER --output FOLDER

needs only torch, numpy, pillow and safetensors. `anysr train` runs the same with a progress bar.

A resumed run may have other photographs than before, so data may come in packs, one after another.
Validation images are held out of the first folder, or of `validation`, which keeps them the same
when the packs change; copies of them are never trained on, in whichever folder they are. `stop_at`
includes the time for reading, which ends early if necessary.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from models.training.config import Config
from models.training.data_parallel import Peers, join
from models.training.dataset import Photographs, training_files
from models.training.trainer import Report, Trainer
from models.whole_file import folder_for

LOG_FILE = "log.jsonl"


class Observer(Protocol):
    """Receives the progress of a run."""

    def started(self, trainer: Trainer, resumed: bool, photographs: int) -> None:
        """Called when the network is built or resumed, with the number of photographs to read."""

    def read(self, count: int) -> None:
        """Called with the number of photographs read so far."""

    def report(self, facts: dict[str, Any]) -> None:
        """Called with each report of `Trainer.run`."""


class PrintedLines:
    """Prints each report as a line of JSON."""

    def started(self, trainer: Trainer, resumed: bool, photographs: int) -> None:
        pass

    def read(self, count: int) -> None:
        pass

    def report(self, facts: dict[str, Any]) -> None:
        print(json.dumps(facts), flush=True)


@dataclass(frozen=True)
class Data:
    """The folders of photographs."""

    folders: Sequence[Path]
    validation: Path | None = None
    """Folder of the validation images; the first of `folders` by default."""


def run_training(
    config: Config,
    data: Data,
    output: Path,
    *,
    device: str = "cpu",
    grow_from: Path | None = None,
    stop_at: float = float("inf"),
    observer: Observer | None = None,
    peers: Peers = Peers(),  # noqa: B008 - immutable
) -> Trainer:
    """Train to the configured step or until `stop_at` (of time.monotonic), resuming a run found in
    `output`; reports are appended to its log.jsonl. With `grow_from`, a new run starts from these
    weights of a smaller network. Return the trainer.

    Raises ValueError for a config that does not fit its network, or weights that cannot be grown.
    """
    observer = observer or PrintedLines()
    files, held = training_files(data.folders, config.training.validation_images, data.validation)
    with folder_for(output):
        trainer = Trainer(config, output, device, peers)
        resumed = trainer.resume()
        if grow_from is not None and not resumed:
            trainer.grow_from(grow_from)
        observer.started(trainer, resumed, len(files))
        side = trainer.config.crop_side
        photographs = Photographs(files, device, side, stop_at, on_read=observer.read)
        report = _reporting(observer, output, peers)
        trainer.run(photographs, held, stop_at, report)
    return trainer


def _reporting(observer: Observer, output: Path, peers: Peers) -> Report:
    """Return what shows the reports of a run, and appends them to its log."""

    def report(facts: dict[str, Any]) -> None:
        if peers.first:
            observer.report(facts)
            with (output / LOG_FILE).open("a") as log:
                log.write(json.dumps(facts) + "\n")

    return report


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line, alone or as one of torchrun's processes."""
    started = time.monotonic()
    parser = argparse.ArgumentParser(description="Train a network; resumes what OUTPUT holds.")
    parser.add_argument("config", type=Path)
    parser.add_argument("--data", type=Path, action="append", required=True, help="repeatable")
    parser.add_argument("--validation", type=Path, help="by default the first of --data")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--grow-from", type=Path, help="weights of a smaller trained network")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="reading included")
    parser.add_argument("--threads", type=int)
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    try:
        _run(options, started)
    except (OSError, ValueError) as error:
        raise SystemExit(str(error)) from error


def _run(options: argparse.Namespace, started: float) -> None:
    run_training(
        Config.read(options.config),
        Data(options.data, options.validation),
        options.output,
        device=options.device,
        grow_from=options.grow_from,
        stop_at=started + 60 * options.minutes,
        peers=join(),
    )


if __name__ == "__main__":
    main()
