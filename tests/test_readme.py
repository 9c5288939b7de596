"""The README keeps its word: every setting is in its table, every command and file exists."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from pydantic_settings import BaseSettings
from typer.main import get_group

from cli.main import app
from jobs.settings import QueueSettings
from service.settings import GatewaySettings
from workers.settings import WorkerSettings

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
START, END = "<!-- settings: written by tests/test_readme.py --write -->", "<!-- /settings -->"
GROUPS: dict[str, type[BaseSettings]] = {
    "queue": QueueSettings,
    "gateway": GatewaySettings,
    "worker": WorkerSettings,
}


def settings_table() -> str:
    """Return the README's table, made from the settings classes."""
    lines = ["| variable | of | default | meaning |", "|---|---|---|---|"]
    for group, settings in GROUPS.items():
        for name, field in settings.model_fields.items():
            variable = f"ANYSR_{name}".upper()
            if field.validation_alias is not None:
                variable = str(field.validation_alias).upper()
            default = "" if field.default is None else f"`{field.default}`"
            meaning = (field.description or "").replace("|", "\\|")
            lines.append(f"| `{variable}` | {group} | {default} | {meaning} |")
    return "\n".join(lines)


def with_table(text: str) -> str:
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}\n{settings_table()}\n{END}{after}"


def test_every_setting_is_documented():
    for settings in GROUPS.values():
        for name, field in settings.model_fields.items():
            assert field.description, f"{settings.__name__}.{name} has no description"
    text = README.read_text()
    assert with_table(text) == text, "run: python tests/test_readme.py --write"


def test_every_command_in_the_readme_exists_and_every_command_is_in_the_readme():
    commands = set(get_group(app).commands)
    mentioned = set(re.findall(r"`anysr (\w+)", README.read_text()))
    assert mentioned == commands


def test_every_link_in_the_documents_leads_somewhere():
    for document in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("models/**/*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


if __name__ == "__main__" and "--write" in sys.argv:
    README.write_text(with_table(README.read_text()))
