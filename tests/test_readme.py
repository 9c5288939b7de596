"""The README names all commands, and links of documents lead to files."""

from __future__ import annotations

import re
from pathlib import Path

from typer.main import get_group

from cli.main import app

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"


def test_every_command_in_the_readme_exists_and_every_command_is_in_the_readme():
    commands = set(get_group(app).commands)
    mentioned = set(re.findall(r"`anysr (\w+)", README.read_text()))
    assert mentioned == commands


def test_every_link_in_the_documents_leads_to_a_file():
    for document in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("models/**/*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"
