"""What all parts of the catalog have in common: the form of a record, and the error."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

CATALOG_FILE = "catalog.json"


class CatalogError(Exception):
    """The catalog or one of its artifacts is missing, damaged or not as described."""


class Record(BaseModel):
    """A part of the catalog: no further fields, and never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)
