"""No text of the repository has a retired word, neither in prose nor in names."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SKIPPED = ("CHANGELOG.md", "tests/test_words.py", "models/artifacts/")
"""The history of the project, this list, and files that export writes."""
RETIRED = (
    *("stocks?", "stockers?", "stocking", "shelf", "shelves", "pulses?", "vitals?", "courses?"),
    *("worksites?", "aside", "told", "floor[ _]ms", "answer[ _]ms", "lest"),
    r"(?<!instead )of[ _]late(?! answers)",
)
ALLOWED = re.compile(r"pulse_ttl_seconds", re.IGNORECASE)
"""A setting whose name is part of the public interface."""
HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
FOUND = re.compile(rf"(?<![a-z])(?:{'|'.join(RETIRED)})(?![a-z])", re.IGNORECASE)


def retired_in(line: str) -> list[str]:
    """Return the retired words of a line; names are divided at underscores and capitals."""
    return FOUND.findall(HUMP.sub("_", ALLOWED.sub("", line)))


def tracked_texts() -> Iterator[tuple[str, str]]:
    """Yield name and content of every tracked text file."""
    command = ["git", "ls-files", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        if path.is_file() and not name.startswith(SKIPPED):
            try:
                yield name, path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("The gateway is told of it.", ["told"]),
        ("def test_progress_is_told():", ["told"]),
        ("class WorkerPulse:", ["Pulse"]),
        ("FLOOR_MS = 3.0", ["FLOOR_MS"]),
        ("network time of late, set aside", ["of late", "aside"]),
        ("ANYSR_PULSE_TTL_SECONDS, pulse_ttl_seconds", []),
        ("foretold, by latest start, at least, impulse, coarse", []),
        ("narrower instead of late; a part of late answers", []),
    ],
)
def test_retired_words_are_recognised(line: str, words: list[str]) -> None:
    assert retired_in(line) == words


def test_no_text_uses_a_retired_word() -> None:
    texts = dict(tracked_texts())
    assert "README.md" in texts
    found = [
        f"{name}:{number}: {', '.join(words)}"
        for name, text in texts.items()
        for number, line in enumerate(text.splitlines(), start=1)
        if (words := retired_in(line))
    ]
    assert not found, "\n".join(found)
