"""Reading and writing of a model folder's `catalog.json`, whole or entry by entry."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from models.catalog.artifacts import bytes_of
from models.catalog.entries import Catalog, ModelEntry
from models.catalog.records import CATALOG_FILE, CatalogError
from models.whole_file import written

SHIPPED = Path(__file__).parents[1] / "artifacts"


REASON_LENGTH = 300
"""Most characters of the reason for a broken entry, which is reported repeatedly."""


@dataclass(frozen=True)
class CatalogRead:
    """The valid entries of a catalog, and the reasons why the others are broken."""

    catalog: Catalog
    broken: Mapping[str, str] = field(default_factory=dict)
    """Reasons by the names of entries; under CATALOG_FILE what concerns all."""


def read_catalog(folder: Path = SHIPPED) -> Catalog:
    """Read a model folder's catalog. Raises CatalogError with the reason if it is not valid."""
    path = folder / CATALOG_FILE
    try:
        return Catalog.model_validate_json(bytes_of(path))
    except ValidationError as error:
        raise CatalogError(f"{path} is not a valid catalog: {one_line_reason(error)}") from error


def read_valid_entries(folder: Path, running: Catalog | None = None) -> CatalogRead:
    """Read the valid entries of a model folder's catalog. A broken entry is replaced by the running
    one of its name; a missing default by the running default, or else by the first model.

    Raises CatalogError if the file cannot be read or no model is left.
    """
    path = folder / CATALOG_FILE
    default, listed = _listed(path)
    models: dict[str, ModelEntry] = {}
    broken: dict[str, str] = {}
    for number, data in enumerate(listed):
        name = _name_of(data, number)
        if name in models or name in broken:
            broken[name] = "is listed more than once; the first counts"
            continue
        try:
            models[name] = ModelEntry.model_validate_json(json.dumps(data))
        except ValidationError as error:
            broken[name] = one_line_reason(error)
            if running is not None and name in running.names:
                models[name] = running.get(name)
    if not models:
        raise CatalogError(f"{path} has no model that can be served; {summary_of(broken)}")
    if default not in models:
        broken[CATALOG_FILE] = f"the default {default!r} is not among the models"
        default = running.default if running and running.default in models else next(iter(models))
    return CatalogRead(Catalog(default=default, models=tuple(models.values())), broken)


def one_line_reason(error: Exception) -> str:
    """Return an error's text in one line of at most `REASON_LENGTH` characters."""
    text = str(error) or type(error).__name__
    if isinstance(error, ValidationError):
        faults = error.errors(include_url=False, include_input=False)
        text = "; ".join(f"{'.'.join(map(str, f['loc']))}: {f['msg']}" for f in faults)
    line = " ".join(text.split())
    return (
        line
        if len(line) <= REASON_LENGTH
        else f"{line[: REASON_LENGTH - 1]}\N{HORIZONTAL ELLIPSIS}"
    )


def summary_of(broken: Mapping[str, str]) -> str:
    """Return all reasons in one line."""
    return "; ".join(f"{name}: {reason}" for name, reason in broken.items()) or "it lists none"


def _listed(path: Path) -> tuple[object, list[object]]:
    """Return a catalog's default and its list of models, both unchecked."""
    try:
        content = json.loads(bytes_of(path))
    except ValueError as error:
        raise CatalogError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(content, dict) or not isinstance(content.get("models"), list):
        raise CatalogError(f"{path} is not a valid catalog: it has no list of models")
    return content.get("default"), content["models"]


def _name_of(data: object, number: int) -> str:
    name = data.get("name") if isinstance(data, dict) else None
    return name if isinstance(name, str) and name else f"models[{number}]"


def write_catalog(folder: Path, catalog: Catalog) -> None:
    """Write a model folder's catalog atomically."""
    with written(folder / CATALOG_FILE) as partial:
        partial.write_text(catalog.model_dump_json(indent=1) + "\n")


def register(folder: Path, model: ModelEntry) -> Catalog:
    """Add a model to a folder's catalog, replacing one of the same name, and return the catalog.

    The first model of a folder becomes its default.
    """
    if not (folder / CATALOG_FILE).exists():
        catalog = Catalog(default=model.name, models=(model,))
    else:
        old = read_catalog(folder)
        others = [m for m in old.models if m.name != model.name]
        models = tuple(sorted((*others, model), key=lambda m: m.name))
        catalog = Catalog(default=old.default, models=models)
    write_catalog(folder, catalog)
    return catalog
