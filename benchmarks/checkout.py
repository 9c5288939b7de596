"""Files of the repository that are in no package: what a benchmark of the deployment reads."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[1]
"""The repository in a checkout; some folder of Python's in an installed package."""


class CheckoutMissing(RuntimeError):
    """This runs from an installed package, which has no file of the deployment."""


def checkout(*parts: str, root: Path = ROOT) -> Path:
    """Return the path of a file or folder of the repository. Raises CheckoutMissing."""
    path = root.joinpath(*parts)
    if not path.exists():
        raise CheckoutMissing(
            f"This needs {'/'.join(parts)} of the repository, which no package has. Clone the "
            "repository, and there run: pip install -e '.[cpu,test]'"
        )
    return path
