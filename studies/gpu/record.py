"""Writes the results of `studies.gpu.evaluate` to a model folder: catalog and card.

It measures nothing. RESULTS holds NAME-SET-WIDTH.json of one network; --name is the network's name
in the catalog, and --prefix that of the files, where it is another.

Figures: docs/training.md.
Run: python -m studies.gpu.record RESULTS --name anysr-l --prefix l
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from models.catalog import SHIPPED
from models.evaluate import Score
from models.recorded_quality import record_quality
from studies.arguments import parser_of


def arguments_of(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = parser_of("studies.gpu.record", __doc__)
    add = parser.add_argument
    add("results", type=Path, help="folder of JSON files")
    add("--name", required=True, help="name in the catalog")
    add("--prefix", help="what the files begin with; default: the name")
    add("--models", type=Path, default=SHIPPED, help="model folder")
    return parser.parse_args(arguments)


def results_of(folder: Path, prefix: str) -> dict[str, dict[str, list[Score]]]:
    """Return the scores by data set and width."""
    found: dict[str, dict[str, list[Score]]] = defaultdict(dict)
    for file in sorted(folder.glob(f"{prefix}-*.json")):
        dataset = file.stem.removeprefix(f"{prefix}-").rsplit("-", 1)[0]
        for width, rows in json.loads(file.read_text())["results"].items():
            found[dataset][width] = [Score(**row) for row in rows]
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Record every data set. Raises SystemExit if there is none."""
    options = arguments_of(arguments)
    results = results_of(options.results, options.prefix or options.name)
    if not results:
        raise SystemExit(f"{options.results} holds no results of {options.prefix or options.name}")
    for dataset, scores in results.items():
        record_quality(options.models, options.name, dataset, scores)


if __name__ == "__main__":
    main()
