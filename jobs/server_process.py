"""One run of a private Redis server: a process that ends with ours, however ours ends."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

START_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 5.0

GUARDIAN = """
directory=$1; shift
over=
trap 'over=yes' USR1
exec 3<&0
"$@" </dev/null 3<&- &
server=$!
{ read -r _ <&3; kill -USR1 $$; kill -TERM "$server"; } 2>/dev/null &
watcher=$!
exec 3<&-
wait "$server"; code=$?
if [ "$over" ]; then wait "$server"; code=$?; rm -rf -- "$directory"; fi
kill "$watcher" 2>/dev/null
exit "$code"
"""
"""Runs the server for as long as the pipe on its standard input is open. The kernel closes that
however our process ends, kill -9 included, on every Unix and whichever thread started it (which
PR_SET_PDEATHSIG would not give). A child forked without exec holds the pipe open with us.
The directory goes with the pipe, not with the server: nobody else may take its name while the
server is about to be started again. The signal ends the first wait, so there is a second."""


class RedisUnavailableError(RuntimeError):
    """There is no Redis server here, or it does not run; the message says what to do."""


class ServerProcess:
    """A server from its making until it ends, by `stop` or by itself.

    `directory` holds its `socket` and its log. Its methods may be called from several threads.
    """

    def __init__(self, command: Sequence[str], directory: Path, socket: Path) -> None:
        self._socket = socket
        self._log = directory / "log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", GUARDIAN, "guardian", str(directory), *command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C reaches our process alone, which then ends in order, with its Redis there.
                process_group=0,
            )

    def await_answer(self) -> None:
        """Wait until it answers. Raises RedisUnavailableError, and has ended then."""
        until = time.monotonic() + START_TIMEOUT_S
        client = redis.Redis(
            unix_socket_path=str(self._socket),
            socket_timeout=START_TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
        )
        with contextlib.closing(client):
            while self._process.poll() is None and time.monotonic() < until:
                with contextlib.suppress(redis.ConnectionError, redis.TimeoutError):
                    client.ping()
                    return
                time.sleep(0.01)
        self._sweep()
        raise RedisUnavailableError(f"The private Redis server did not start: {self.wait()}")

    def wait(self) -> str:
        """Wait for its end; return its exit status and its last line."""
        code = self._process.wait()
        if code < 0:
            self._sweep()
        self._let_go()
        return f"status {code} {self._last_line()}".strip()

    def stop(self) -> None:
        """End it, and return when it has ended; its directory is gone then, too."""
        self._let_go()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._sweep()
            self._process.wait()

    def _let_go(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()

    def _sweep(self) -> None:
        """Kill guardian, server and watcher, of which some may be left without the others."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _last_line(self) -> str:
        """Return what it said last; what it said before is mostly of other matters."""
        try:
            return self._log.read_text(errors="replace").strip().rpartition("\n")[2]
        except OSError:
            return ""
