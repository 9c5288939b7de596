"""Where the benchmark photographs are, if they are: beside the repository, never inside it."""

from pathlib import Path

import pytest

SHARED = Path(__file__).parents[2] / "shared" / "data"


def shared_data(*parts: str) -> Path:
    """Return a folder of the shared data, or skip the test with the reason."""
    folder = SHARED.joinpath(*parts)
    if not folder.is_dir():
        pytest.skip(f"needs the photographs in ../shared/data/{'/'.join(parts)}")
    return folder
