"""The end of a process whose person does not want to wait for its end in order."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NoReturn

INTERRUPTED = 130
"""Exit status of a command that Ctrl-C has ended, as shells have it."""
SENTENCE = b"Interrupted again: ended at once. What was running is lost.\n"


def leave_at_once(kill: Callable[[], None] = lambda: None) -> NoReturn:
    """Call `kill` and end this process, with one line on standard error and nothing else: no block
    is left in order. May be called from a handler of a signal."""
    kill()
    os.write(2, SENTENCE)
    os._exit(INTERRUPTED)
