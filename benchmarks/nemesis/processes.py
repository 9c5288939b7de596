"""The gateways and workers of a run, each of which is started again whenever it has ended."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import IO

GATEWAY = (sys.executable, "-P", "-m", "cli.main", "gateway", "--port")
WORKER = (sys.executable, "-P", "-m", "workers.main")
STOP_TIMEOUT_S = 30.0


class Kept:
    """A process that is started again when it ends, as the service's own pool and every container
    engine do."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        log: IO[bytes],
        on_death: Callable[[str], None],
    ) -> None:
        self.name = name
        self._command = command
        self._environment = environment
        self._log = log
        self._on_death = on_death
        self._running: asyncio.subprocess.Process | None = None
        self._killed = False
        self._stopping = False

    @property
    def pid(self) -> int:
        """The id of the process that runs now, or ran last."""
        return 0 if self._running is None else self._running.pid

    async def keep(self) -> None:
        """Run it until `stop`. A death that is no fault of ours is reported with its status."""
        none = asyncio.subprocess.DEVNULL
        while not self._stopping:
            self._killed = False
            self._running = await asyncio.create_subprocess_exec(
                *self._command,
                env=dict(self._environment),
                stdin=none,
                stdout=self._log,
                stderr=self._log,
            )
            status = await self._running.wait()
            if not self._killed and not self._stopping:
                self._on_death(f"{self.name}: status {status}")

    def kill(self) -> None:
        """Kill it, stopped or not."""
        self._killed = True
        self._signal(signal.SIGKILL)

    def freeze(self) -> None:
        """Stop it, until it is thawed."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    async def stop(self) -> None:
        """End it in order."""
        self._stopping = True
        if self._running is None:
            return
        self.thaw()
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await self._running.wait()
        except TimeoutError:
            self._on_death(f"{self.name}: did not end within {STOP_TIMEOUT_S:g} s")
            self.kill()

    def _signal(self, number: int) -> None:
        if self._running is not None and self._running.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._running.send_signal(number)
