"""The catalog: the models of a folder, their files with checksums, and their measured quality.

`entries` has its parts, `reading` reads and writes it, `artifacts` checks the files, and
`mean_quality` interpolates what was measured.

It is read from `catalog.json` beside the artifacts, without torch. Every artifact's size and
SHA-256 are checked before it is opened. A service uses valid entries and reports the others.
"""

from models.catalog.artifacts import Artifact, describe, read_verified, verified
from models.catalog.entries import (
    COEFFICIENTS,
    MOST_RIM,
    WIDTH_TOLERANCE,
    Catalog,
    Int8Entry,
    ModelEntry,
    Precision,
    QualityEntry,
    WidthEntry,
)
from models.catalog.mean_quality import QUALITY_DATASET, resampled_db
from models.catalog.reading import (
    REASON_LENGTH,
    SHIPPED,
    CatalogRead,
    one_line_reason,
    read_catalog,
    read_valid_entries,
    register,
    summary_of,
    write_catalog,
)
from models.catalog.records import CATALOG_FILE, CatalogError

__all__ = [
    "CATALOG_FILE",
    "COEFFICIENTS",
    "MOST_RIM",
    "QUALITY_DATASET",
    "REASON_LENGTH",
    "SHIPPED",
    "WIDTH_TOLERANCE",
    "Artifact",
    "Catalog",
    "CatalogError",
    "CatalogRead",
    "Int8Entry",
    "ModelEntry",
    "Precision",
    "QualityEntry",
    "WidthEntry",
    "describe",
    "one_line_reason",
    "read_catalog",
    "read_valid_entries",
    "read_verified",
    "register",
    "resampled_db",
    "summary_of",
    "verified",
    "write_catalog",
]
