"""What an attack is, and callers that repeat it."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import ClassVar

from benchmarks.attacks.wire import Attacker

PAUSE_S = 0.01
"""Before a caller begins anew, so that refused connections are not all that the attacker makes."""

Once = Callable[[], Awaitable[None]]


class Attack(ABC):
    """One way to take more of a service than is one's due."""

    name: ClassVar[str]
    """As on the command line."""

    async def prepare(self, attacker: Attacker) -> None:  # noqa: B027 - most draw nothing
        """Draw what is sent, and whatever else must happen before the attack begins."""

    @abstractmethod
    async def run(self, attacker: Attacker) -> None:
        """Attack until cancelled."""


async def keep_busy(attacker: Attacker, callers: int, once: Once) -> None:
    """Have so many callers repeat an action at the same time, for ever. Connections that end are
    counted as `closed`."""

    async def repeat() -> None:
        while True:
            try:
                await once()
            except (OSError, EOFError):
                attacker.answers["closed"] += 1
            await asyncio.sleep(PAUSE_S)

    await asyncio.gather(*(repeat() for _ in range(callers)))
