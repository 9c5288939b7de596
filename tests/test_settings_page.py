"""docs/settings.md has every setting, and the README the most important ones."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from pydantic_settings import BaseSettings

from jobs.settings import QueueSettings
from service.settings import GatewaySettings
from workers.settings import WorkerSettings

ROOT = Path(__file__).parents[1]
START, END = (
    "<!-- settings: written by tests/test_settings_page.py --write -->",
    "<!-- /settings -->",
)
GROUPS: dict[str, type[BaseSettings]] = {
    "queue": QueueSettings,
    "gateway": GatewaySettings,
    "worker": WorkerSettings,
}
FIRST = (
    *("ANYSR_HOST", "ANYSR_PORT", "ANYSR_REDIS_URL", "ANYSR_MODELS", "ANYSR_ADMIN_KEY"),
    *("ANYSR_DEFAULT_BUDGET_MS", "ANYSR_MAX_BODY_BYTES", "ANYSR_MAX_OUTPUT_PIXELS"),
    *("ANYSR_WORKER_THREADS", "ANYSR_DEVICE"),
)
"""Settings of the README, in its order."""
VARIABLE = re.compile(r"\bANYSR_[A-Z_]*[A-Z]\b")


class Row(NamedTuple):
    """A documented setting."""

    variable: str
    group: str
    default: str
    meaning: str


def settings() -> Iterator[Row]:
    """Return every setting of every process."""
    for group, kind in GROUPS.items():
        for name, field in kind.model_fields.items():
            variable = f"ANYSR_{name}" if field.validation_alias is None else field.validation_alias
            default = "" if field.default is None else f"`{written(field.default)}`"
            meaning = (field.description or "").replace("|", "\\|")
            yield Row(str(variable).upper(), group, default, meaning)


def written(default: object) -> str:
    """Return a default as it would be written in an environment."""
    return str(default).lower() if isinstance(default, bool) else str(default)


def first() -> Iterator[Row]:
    """Return the settings of `FIRST`, each once, with all processes that have it."""
    for variable in FIRST:
        rows = [row for row in settings() if row.variable == variable]
        yield rows[0]._replace(group=", ".join(row.group for row in rows))


def with_table(text: str, rows: Iterable[Row]) -> str:
    """Return a page with these settings in the place of its table."""
    lines = ["| variable | of | default | meaning |", "|---|---|---|---|"]
    lines += [f"| `{row.variable}` | {row.group} | {row.default} | {row.meaning} |" for row in rows]
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    return "\n".join([f"{before}{START}", *lines, f"{END}{after}"])


PAGES = {ROOT / "docs" / "settings.md": settings, ROOT / "README.md": first}


def test_every_setting_has_a_description() -> None:
    assert [row.variable for row in settings() if not row.meaning] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_table_equals_the_settings_classes(page: Path) -> None:
    text = page.read_text()
    fresh = with_table(text, PAGES[page]())
    assert fresh == text, "run: python tests/test_settings_page.py --write"


def test_every_variable_in_a_document_is_read() -> None:
    known = {row.variable for row in settings()}
    deployment = [ROOT / "docker-compose.yml", ROOT / "Makefile", *ROOT.glob("deploy/*.yml")]
    for path in [*deployment, *ROOT.glob("examples/*.[!m]*")]:
        known |= set(VARIABLE.findall(path.read_text()))
    for path in (ROOT / "tests").rglob("*.py"):
        known |= set(VARIABLE.findall(path.read_text()))
    documents = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*.md")]
    named = {name for path in documents for name in VARIABLE.findall(path.read_text())}
    assert len(named) > 40
    assert sorted(named - known) == []


if __name__ == "__main__" and "--write" in sys.argv:
    for path, rows in PAGES.items():
        path.write_text(with_table(path.read_text(), rows()))
