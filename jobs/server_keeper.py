"""Starts a private Redis server again when it ends by itself, and says so when that is vain."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from jobs.server_process import RedisUnavailableError, ServerProcess

log = logging.getLogger("anysr.redis")

PAUSES_S = (0.1, 0.5, 1.0, 2.0, 5.0)
"""Before each new start, in a row; a server that ends once more is given up."""

HEALTHY_AFTER_S = 60.0
"""After a server that lived this long the row begins anew."""


class ServerKeeper:
    """Keeps a server running from `start` to `stop`.

    A server that was started again is empty. `on_lost` is called, on a thread of its own, when
    the server is given up; `loss` then says why.
    """

    def __init__(self, spawn: Callable[[], ServerProcess], on_lost: Callable[[], None]) -> None:
        self._spawn = spawn
        self._on_lost = on_lost
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._server = spawn()
        self._thread = threading.Thread(target=self._keep, name="redis-keeper", daemon=True)
        self.loss: str | None = None

    def start(self) -> None:
        """Return when the server answers. Raises RedisUnavailableError."""
        self._server.await_answer()
        self._thread.start()

    def stop(self) -> None:
        """End the server, and return when it has ended."""
        with self._lock:  # no server starts unseen once this is set
            self._stopping.set()
            server = self._server
        server.stop()
        if self._thread.ident is not None:
            self._thread.join()

    def _keep(self) -> None:
        pauses, since = iter(PAUSES_S), time.monotonic()
        why = self._server.wait()
        while not self._stopping.is_set():
            if time.monotonic() - since > HEALTHY_AFTER_S:
                pauses = iter(PAUSES_S)
            pause_s = next(pauses, None)
            if pause_s is None:
                self._give_up(why)
                return
            log.error("the private Redis is gone (%s); again, empty, in %g s", why, pause_s)
            self._stopping.wait(pause_s)
            since = time.monotonic()
            why = self._run_again()

    def _run_again(self) -> str:
        """Start the server and wait for its end; return why it ended or did not start."""
        try:
            with self._lock:
                if self._stopping.is_set():
                    return "stopped"
                self._server = self._spawn()
            self._server.await_answer()
        except (OSError, RedisUnavailableError) as error:
            return str(error)
        log.warning("the private Redis runs again")
        return self._server.wait()

    def _give_up(self, why: str) -> None:
        log.critical("the private Redis is gone (%s) and given up", why)
        self.loss = why
        self._on_lost()
