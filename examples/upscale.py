"""Upscale one picture by a deadline: `python upscale.py INPUT SCALE OUTPUT`.

Needs `anysr_client`, which `pip install ./clients/python` installs.
"""

from __future__ import annotations

import sys
from pathlib import Path

from anysr_client import AnysrError, Client

DEADLINE_S = 30


def main(source: str, scale: str, target: str) -> None:
    """Write the upscaled picture, and print what ran."""
    with Client() as client:  # ANYSR_SERVER, or this machine
        larger = client.upscale(source, scale=float(scale), deadline=DEADLINE_S)
    Path(target).write_bytes(larger.picture)
    print(f"{larger.model} at width {larger.width:g} in {larger.elapsed_ms:.0f} ms")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except AnysrError as error:
        sys.exit(str(error))
