"""Files of the repository that no package contains, for benchmarks of the deployment."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[1]
"""The repository in a checkout; a folder of Python in an installed package."""


class CheckoutMissing(RuntimeError):
    """The code runs from an installed package, which has no files of the deployment."""


def checkout(*parts: str, root: Path = ROOT) -> Path:
    """Return the path of a file or folder of the repository. Raises CheckoutMissing."""
    path = root.joinpath(*parts)
    if not path.exists():
        raise CheckoutMissing(
            f"This needs {'/'.join(parts)} of the repository, which no package contains. Clone "
            "the repository, and run in it: pip install -e '.[cpu,test]'"
        )
    return path
