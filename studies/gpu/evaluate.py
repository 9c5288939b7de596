"""Every figure of a model card on a GPU, in parallel processes: two minutes instead of two hours.

Runs `anysr evaluate WEIGHTS --device cuda` for each of the WEIGHTS, each width and each data set of
a card, all at once, and writes one JSON file for each to --results. It measures PSNR-Y and SSIM of
the network in float32, which its ONNX graphs equal. `studies.gpu.record` writes them to a catalog.

--sets holds the folders Set5, Set14 and B100. Besides what training needs, this needs onnx,
onnxruntime, pydantic, rich, scikit-image and typer.

Figures: docs/training.md.
Run: python -m studies.gpu.evaluate l.safetensors m.safetensors --sets DATA --results RESULTS
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from studies.arguments import parser_of

COMMAND = "import typer; from cli.evaluate import evaluate; typer.run(evaluate)"
"""`anysr evaluate`, without the other commands and what they need."""
ALL_SCALES, WHOLE_SCALES, JPEG_SCALES = "1.5,2,2.5,3,3.5,4,6,8", "2,3,4", "2,3"


@dataclass(frozen=True)
class Measured:
    """A data set of a card: its name there, its folder, its scales, and the JPEG quality."""

    name: str
    folder: str
    scales: str
    jpeg: int | None = None


SETS = (
    Measured("Set14", "Set14", ALL_SCALES),
    Measured("Set5", "Set5", ALL_SCALES),
    Measured("B100", "B100", WHOLE_SCALES),
    Measured("B100-jpeg75", "B100", JPEG_SCALES, 75),
)


def arguments_of(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = parser_of("studies.gpu.evaluate", __doc__)
    add = parser.add_argument
    add("weights", type=Path, nargs="+", metavar="WEIGHTS", help="NAME.safetensors of a training")
    add("--sets", type=Path, required=True, help="folder of the data sets")
    add("--results", type=Path, required=True, help="folder for NAME-SET-WIDTH.json")
    add("--widths", default="0.25,0.5,0.75,1", help="comma-separated fractions")
    add("--only", help="comma-separated names of data sets; default: all of a card")
    add("--device", default="cuda")
    return parser.parse_args(arguments)


def commands_of(options: argparse.Namespace) -> Iterator[tuple[Path, list[str]]]:
    """Yield each file of results and the command that writes it."""
    only = options.only.split(",") if options.only else [each.name for each in SETS]
    for weights in options.weights:
        for measured in SETS:
            if measured.name not in only:
                continue
            for width in options.widths.split(","):
                result = options.results / f"{weights.stem}-{measured.name}-{width}.json"
                command = [sys.executable, "-c", COMMAND, str(weights)]
                command += ["--data", str(options.sets / measured.folder)]
                command += ["--scales", measured.scales, "--widths", width, "--threads", "1"]
                command += ["--device", options.device, "--json", str(result)]
                command += ["--jpeg", str(measured.jpeg)] if measured.jpeg else []
                yield result, command


def main(arguments: Sequence[str] | None = None) -> None:
    """Run all evaluations, and name those that failed. Raises SystemExit if any did."""
    options = arguments_of(arguments)
    options.results.mkdir(parents=True, exist_ok=True)
    # One thread each: as many processes as cores want no more.
    quiet = {**os.environ, "OMP_NUM_THREADS": "1"}
    running = {
        result: subprocess.Popen(command, env=quiet, stdout=subprocess.DEVNULL)
        for result, command in commands_of(options)
    }
    failed = [result.stem for result, process in running.items() if process.wait() != 0]
    print(f"{len(running) - len(failed)} of {len(running)} evaluations are in {options.results}")
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
