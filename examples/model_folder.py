"""Create a model folder from some shipped models: `python model_folder.py FOLDER MODEL...`.

The first named model is the default. Serve it with `ANYSR_MODELS=FOLDER anysr serve`; models
that `anysr export --folder FOLDER` writes are added to the same catalog.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from models.catalog import CATALOG_FILE, SHIPPED


def files_of(entry: Any) -> Iterator[str]:
    """Yield every file named in a part of the catalog."""
    if isinstance(entry, dict):
        if "sha256" in entry:
            yield entry["file"]
        entry = list(entry.values())
    if isinstance(entry, list):
        for part in entry:
            yield from files_of(part)


def main(folder: Path, names: list[str]) -> None:
    """Copy the models' files, then write the catalog, which thus never names missing files."""
    catalog = json.loads((SHIPPED / CATALOG_FILE).read_text())
    entries = {entry["name"]: entry for entry in catalog["models"]}
    folder.mkdir(parents=True, exist_ok=True)
    chosen = [entries[name] for name in names]
    for file in sorted(set(files_of(chosen))):
        shutil.copyfile(SHIPPED / file, folder / file)
    catalog |= {"default": names[0], "models": chosen, "untrained": []}
    fresh = folder / f"{CATALOG_FILE}.new"
    fresh.write_text(json.dumps(catalog, indent=2) + "\n")
    fresh.replace(folder / CATALOG_FILE)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
