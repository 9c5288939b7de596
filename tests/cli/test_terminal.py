"""Foreign text on a terminal: escaped where it must be, and never read as markup."""

from __future__ import annotations

import ast
import io
import re
from pathlib import Path

import pytest
from rich.table import Table
from typer.testing import CliRunner

import cli
from cli import terminal
from cli.main import app
from cli.terminal import console, progress, shown


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a [draft] :smile: ünï 日本.png", "a [draft] :smile: ünï 日本.png"),
        ("a\nb\tc", r"a\nb\tc"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("caf\udce9.png", r"caf\xe9.png"),
        ("gnp.\u202eexe", r"gnp.\u202eexe"),
        (Path("in/a.png"), "in/a.png"),
    ],
)
def test_a_line_shows_foreign_text(text: str | Path, line: str) -> None:
    assert shown(text) == line


def test_tables_and_bars_read_no_markup() -> None:
    name = "x[/red] [bold]t :smile:"
    table = Table(title=name)
    table.add_column(name)
    table.add_row(name)
    on = console(width=80)
    on.file = io.StringIO()
    on.print(table)
    assert on.file.getvalue().count(name) == 3
    bars = progress(on=on)
    bars.add_task(name)
    on.print(bars.get_renderable())
    assert on.file.getvalue().count(name) == 4


def test_every_command_writes_through_these_functions() -> None:
    """Consoles and bars of rich's own defaults read markup in names."""
    own = Path(terminal.__file__)
    for path in Path(str(cli.__file__)).parent.rglob("*.py"):
        made = {
            re.sub(r".*\.", "", ast.unparse(node.func))
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call)
        }
        assert path == own or not made & {"Console", "Progress", "from_markup"}, path


def test_the_version_is_shown() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert result.exit_code == 0
    assert re.fullmatch(r"anysr \d+\.\d+\.\d+\n", result.output)
