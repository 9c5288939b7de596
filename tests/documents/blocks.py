"""The code of the documents: fenced blocks, and commands between backticks."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PLACES = ("*.md", "docs/**/*.md", "examples/*.md", "models/**/*.md", "clients/*/*.md")
DOCUMENTS = sorted(path for place in PLACES for path in ROOT.glob(place))
FENCED = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"(?<!`)`((?:anysr|curl|make|python) [^`]+)`(?!`)")
BETWEEN = {"&&", "||", "|", ";"}

Command = tuple[str, ...]


@dataclass(frozen=True)
class Block:
    """A fenced block of a document, in a language that its fence names."""

    document: str
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.document}: {self.text.splitlines()[0]}"

    def commands(self) -> Iterator[Command]:
        """The commands of a shell block, each as its words, without variables set before it."""
        for line in self.text.replace("\\\n", " ").splitlines():
            yield from split(line)


def split(line: str) -> Iterator[Command]:
    """Yield the commands of a line of the shell."""
    words: list[str] = []
    for word in [*shlex.split(line, comments=True), ";"]:
        if word not in BETWEEN:
            if words or not re.match(r"\w+=", word):
                words.append(word)
        elif words:
            yield tuple(words)
            words = []


def blocks(*languages: str) -> list[Block]:
    """Return all blocks, or those in some languages."""
    found = [
        Block(str(path.relative_to(ROOT)), language, text)
        for path in DOCUMENTS
        for _, language, text in FENCED.findall(path.read_text())
    ]
    return [block for block in found if not languages or block.language in languages]


def shell_commands(program: str) -> list[Command]:
    """Return the commands of all shell blocks that a program, as `.venv/bin/anysr`, runs."""
    found = [command for block in blocks("sh") for command in block.commands()]
    return [command for command in found if Path(command[0]).name == program]


def spans(program: str) -> list[Command]:
    """Return the spans in backticks that begin with a program: commands, and parts of them.

    Marks of optional and repeated parts, `[--cost]` and `IN...`, are removed.
    """
    found = []
    for path in DOCUMENTS:
        prose = FENCED.sub("", path.read_text())
        for span in SPAN.findall(prose):
            plain = re.sub(r"\s+", " ", re.sub(r"[\[\]]|(?<=\w)\.\.\.", "", span))
            found += [command for command in split(plain) if command[0] == program]
    return found
