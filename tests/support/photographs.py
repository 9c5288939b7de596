"""The benchmark photographs, in the folder that ANYSR_TEST_DATA names."""

import os
from pathlib import Path

import pytest

VARIABLE = "ANYSR_TEST_DATA"


def shared_data(dataset: str) -> Path:
    """Return the folder of a data set (Set5, Set14, B100), or skip the test with the reason.

    Fails where the variable is set and the folder is not there: that is a mistake.
    """
    if not os.environ.get(VARIABLE):
        pytest.skip(f"needs benchmark photographs: {VARIABLE} is not set")
    folder = Path(os.environ[VARIABLE], dataset)
    if not folder.is_dir():
        pytest.fail(f"{VARIABLE} has no folder {dataset}: {folder}")
    return folder
