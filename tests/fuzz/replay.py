"""One input of a target again, without a fuzzer: `python -m tests.fuzz.replay NAME FILE...`."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.fuzz.targets import target


def main(name: str, *files: str) -> None:
    """Run the target on each file; what it raises is the finding."""
    chosen = target(name)
    for file in files:
        chosen.run(Path(file).read_bytes())
        print(f"{file}: accepted")


if __name__ == "__main__":
    main(*sys.argv[1:])
