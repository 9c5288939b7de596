"""The form that the command lines of all studies share."""

from __future__ import annotations

import argparse


def parser_of(module: str, docstring: str | None) -> argparse.ArgumentParser:
    """Return the parser of a study, whose help begins with the docstring of its module."""
    return argparse.ArgumentParser(
        prog=f"python -m {module}",
        description=docstring,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
