"""The stage of a run, and whether another run may go on beside it.

Decoding and encoding cannot be suspended: they are calls into native code, the former in a process
of its own. Both leave cores, the interpreter and the networks to others meanwhile. So a small job
runs beside them. The network waits for its end: two at once would take memory twice, and each
would be slower than its cost says.
"""

from __future__ import annotations

import threading
import time
from enum import Enum


class Stage(Enum):
    """What the executing thread is busy with."""

    DECODE = "decode"
    ENLARGE = "enlarge"
    """By a network or by resampling; can be suspended between tiles or strips."""
    ENCODE = "encode"


class StageGate:
    """Lets a run pass from stage to stage, and another one go on beside it in between.

    The executing thread of the run calls `enter`, the event loop all else.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._stage = Stage.DECODE
        self._entered = time.perf_counter()
        self._beside = False
        self.waits = False
        """Whether the executing thread waits for the run beside it."""

    @property
    def stage(self) -> Stage:
        """The present stage."""
        return self._stage

    @property
    def since(self) -> float:
        """When the present stage began, by `time.perf_counter`."""
        return self._entered

    def enter(self, stage: Stage) -> None:
        """Begin a stage: enlarging, once no other run goes on beside this one."""
        with self._changed:
            if stage is Stage.ENLARGE:
                self.waits = True
                self._changed.wait_for(lambda: not self._beside)
                self.waits = False
            self._stage, self._entered = stage, time.perf_counter()

    def open(self) -> bool:
        """Let another run go on beside this one until `close`; return whether it may."""
        with self._changed:
            self._beside = self._stage is not Stage.ENLARGE and not self.waits
            return self._beside

    def close(self) -> None:
        """Report that no other run goes on beside this one."""
        with self._changed:
            self._beside = False
            self._changed.notify()
