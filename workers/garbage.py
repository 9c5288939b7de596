"""Garbage of a process whose objects nearly all live as long as it does.

Python visits every object in a full collection. Of a worker with its models that took 100 ms on two
busy cores, and the run beside which it fell took twice as long as usual.
"""

from __future__ import annotations

import gc


def settle() -> None:
    """Free unreachable objects, and exempt all others from collections until `collect`."""
    gc.collect()
    gc.freeze()


def collect() -> None:
    """Free unreachable objects, also among those that `settle` has exempted; the others stay it."""
    settled = gc.get_freeze_count() > 0
    gc.unfreeze()
    gc.collect()
    if settled:
        gc.freeze()
