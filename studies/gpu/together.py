"""Trains several networks side by side on one GPU, in processes that outlive the call.

A small network leaves most of a GPU idle between its kernels; several fill each other's gaps, best
under NVIDIA's Multi-Process Service, which is started where it is installed. The first call starts
`studies.gpu.train` for each RUN, waits, and returns; the same call again goes on waiting, and
copies logs and weights (in float16) of the runs that have ended to `--results`. Validation pictures
are copied at the start, so the folders may be replaced meanwhile. Commit better weights at once:
what lies on a lent machine is lost with it. It measures what each run's log says: steps per second,
and PSNR at the end.

A RUN is CONFIG:MINUTES or CONFIG:MINUTES:WEIGHTS, with weights to start from.

Figures: docs/training.md.
Run: python -m studies.gpu.together anysr-m-gpu:8:m.safetensors anysr-l-gpu:10 --data D --wait 9
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from models.network_file import network_of, save_network
from models.weights_file import read_weights
from studies.arguments import parser_of

MPS = "nvidia-cuda-mps-control"
WEIGHTS = "weights.safetensors"
TEXTS = ("log.jsonl", "output.txt")
VALIDATION = "validation"
"""A folder beside those of the runs."""
ENDED = "ended"
"""A file with the status of a run that has ended."""
POLL_S = 1.0


@dataclass(frozen=True)
class TrainingRun:
    """One run: a config, its minutes, and weights to start from."""

    config: str
    minutes: float
    weights: str | None = None

    @classmethod
    def of(cls, text: str) -> TrainingRun:
        """Return what CONFIG:MINUTES[:WEIGHTS] says. Raises argparse.ArgumentTypeError."""
        config, _, rest = text.partition(":")
        minutes, _, weights = rest.partition(":")
        try:
            return cls(config, float(minutes), weights or None)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{text} is not CONFIG:MINUTES[:WEIGHTS]") from error

    @property
    def name(self) -> str:
        """The name of its folder."""
        return Path(self.config).stem


def arguments_of(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = parser_of("studies.gpu.together", __doc__)
    add = parser.add_argument
    add("runs", type=TrainingRun.of, nargs="+", metavar="RUN")
    add("--data", type=Path, action="append", required=True, help="photographs; repeatable")
    add("--validation", type=Path, help="held-out photographs; default: the first of --data")
    add("--output", type=Path, default=Path("runs/together"), help="a folder for each run is there")
    add("--results", type=Path, help="where weights and logs go; default: $OUT")
    add("--wait", type=float, default=8.0, help="minutes until the call returns at the latest")
    add("--compile", default="inductor+graphs", help="way to run a step, see studies.gpu.train")
    add("--device", default="cuda")
    return parser.parse_args(arguments)


def start_mps() -> None:
    """Start the Multi-Process Service where it is installed; it may run already."""
    if shutil.which(MPS):
        subprocess.run([MPS, "-d"], check=False)


def command_of(run: TrainingRun, folder: Path, options: argparse.Namespace) -> list[str]:
    """Return the command of one run."""
    command = [sys.executable, "-m", "studies.gpu.train", run.config, "--output", str(folder)]
    command += ["--minutes", f"{run.minutes:g}", "--device", options.device]
    command += ["--compile", options.compile]
    for data in options.data:
        command += ["--data", str(data)]
    if options.validation:
        command += ["--validation", str(options.output / VALIDATION)]
    return command + (["--grow-from", run.weights] if run.weights else [])


def start(run: TrainingRun, folder: Path, options: argparse.Namespace) -> None:
    """Start a run that does not end with this process. A shell notes its end."""
    folder.mkdir(parents=True)
    noting_its_end = ["sh", "-c", '("$@"; echo $? > "$0") &', str(folder / ENDED)]
    with (folder / "output.txt").open("wb") as output:
        subprocess.run(
            [*noting_its_end, *command_of(run, folder, options)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            check=True,
        )


def has_ended(folder: Path) -> bool:
    """Return whether a run has ended, well or not. The status is written after the file is made."""
    ended = folder / ENDED
    return ended.exists() and bool(ended.read_text().strip())


def collect(folder: Path, results: Path) -> None:
    """Copy what a run has written, weights in float16."""
    place = results / folder.name
    place.mkdir(parents=True, exist_ok=True)
    for name in TEXTS:
        if (folder / name).exists():
            shutil.copyfile(folder / name, place / name)
    if (folder / WEIGHTS).exists():
        read = read_weights(folder / WEIGHTS)
        save_network(place / WEIGHTS, read.spec, network_of(read), read.scales, half=True)


def start_missing(folders: dict[TrainingRun, Path], options: argparse.Namespace) -> None:
    """Start the runs whose folders are not there."""
    missing = {run: folder for run, folder in folders.items() if not folder.exists()}
    if missing and options.device == "cuda":
        start_mps()
    if missing and options.validation:
        validation = options.output / VALIDATION
        shutil.copytree(options.validation, validation, dirs_exist_ok=True)
    for run, folder in missing.items():
        start(run, folder, options)


def main(arguments: Sequence[str] | None = None) -> None:
    """Start the runs that are not there, wait, and copy the results of those that have ended."""
    options = arguments_of(arguments)
    until = time.monotonic() + 60 * options.wait
    results = options.results or Path(os.environ.get("OUT") or options.output / "results")
    folders = {run: options.output / run.name for run in options.runs}
    start_missing(folders, options)
    while time.monotonic() < until and not all(map(has_ended, folders.values())):
        time.sleep(POLL_S)
    for run, folder in folders.items():
        if has_ended(folder):
            collect(folder, results)
            print(f"{run.name}: ended with status {(folder / ENDED).read_text().strip()}")
        else:
            print(f"{run.name}: goes on")


if __name__ == "__main__":
    main()
