"""Several workers on one machine: one process each, restarted when it dies or falls silent."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from types import TracebackType

from jobs.settings import QueueSettings
from workers.environment import environment_of
from workers.keepalive import SILENT_S, KeepaliveReader
from workers.machine import available_cores
from workers.settings import WorkerSettings

log = logging.getLogger("anysr.workers.pool")

COMMAND = (sys.executable, "-P", "-m", "workers.main")
"""With `-P`, so that a `models.py` in the current folder is not imported in place of ours."""
FIRST_PAUSE_S = 0.5
MAX_PAUSE_S = 30.0
"""Before a restart: doubled after each, up to the maximum."""
HEALTHY_AFTER_S = 60.0
"""A process that ran for this long resets the pause."""


class WorkerPool:
    """Keeps one process per given environment running from `start` to `stop`.

    Also a context manager. Its threads only wait for the processes, and kill one whose keepalive
    (`workers.keepalive`) has stopped. Each process has a group of its own, so that Ctrl-C reaches
    it only through `stop` and not as a second signal. All share our session, because Linux divides
    cores between sessions first and applies nice levels within one.
    """

    def __init__(
        self, environments: Sequence[Mapping[str, str]], command: Sequence[str] = COMMAND
    ) -> None:
        self._command = list(command)
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._threads = [
            threading.Thread(target=self._keep_running, args=(slot, dict(environment)), daemon=True)
            for slot, environment in enumerate(environments)
        ]

    def start(self) -> None:
        """Start the processes."""
        for thread in self._threads:
            thread.start()

    def stop(self, grace_s: float | None = None) -> None:
        """Let each process finish its current job, and return when all have ended.

        Processes that have not ended after `grace_s` seconds are killed; None waits for ever.
        """
        with self._lock:  # no process starts after this
            self._stopping.set()
            running = list(self._running.values())
        for process in running:
            process.terminate()
        until = None if grace_s is None else time.monotonic() + grace_s
        for thread in self._threads:
            thread.join(None if until is None else max(0.0, until - time.monotonic()))
        for process in running:
            if process.poll() is None:
                process.kill()
                process.wait()

    def kill(self) -> None:
        """Kill each process, and start none again. May be called from a handler of a signal."""
        self._stopping.set()
        for process in list(self._running.values()):  # the handler's thread may have the lock
            process.kill()

    def reload(self) -> None:
        """Make each process reload its models."""
        for pid in self.pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGHUP)

    def wait(self) -> None:
        """Wait until `stop` was called and all processes have ended."""
        for thread in self._threads:
            thread.join()

    @property
    def pids(self) -> list[int]:
        """Ids of the running processes."""
        with self._lock:
            return [process.pid for process in self._running.values()]

    def __enter__(self) -> WorkerPool:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _keep_running(self, slot: int, environment: dict[str, str]) -> None:
        # Inherited by the processes, so that SIGHUP cannot end one before it has a handler.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
        pause_s = FIRST_PAUSE_S
        while (spawned := self._spawn(slot, environment)) is not None:
            since = time.monotonic()
            code, silent = _end_of(slot, *spawned)
            environment["ANYSR_REPLACES_SILENT"] = json.dumps(silent)
            with self._lock:
                self._running.pop(slot, None)
            if self._stopping.is_set():
                return
            if time.monotonic() - since > HEALTHY_AFTER_S:
                pause_s = FIRST_PAUSE_S
            log.error("worker %d ended with code %d; again in %.1f s", slot, code, pause_s)
            self._stopping.wait(pause_s)
            pause_s = min(2 * pause_s, MAX_PAUSE_S)

    def _spawn(
        self, slot: int, environment: dict[str, str]
    ) -> tuple[subprocess.Popen[bytes], KeepaliveReader] | None:
        with self._lock:
            if self._stopping.is_set():
                return None
            keepalive = KeepaliveReader()
            process = subprocess.Popen(
                self._command,
                env={**environment, "ANYSR_KEEPALIVE_FD": str(keepalive.sending)},
                stdin=subprocess.DEVNULL,
                process_group=0,
                pass_fds=(keepalive.sending,),
            )
            keepalive.sent()
            self._running[slot] = process
            return process, keepalive


def _end_of(
    slot: int, process: subprocess.Popen[bytes], keepalive: KeepaliveReader
) -> tuple[int, bool]:
    """Kill a process when it falls silent. Return its exit code once it has ended, and whether it
    was silent."""
    silent = keepalive.falls_silent()
    if silent:
        log.error("worker %d was silent for %g s, and is killed", slot, SILENT_S)
        process.kill()
    keepalive.close()
    return process.wait(), silent


def pool_environments(
    processes: int,
    settings: WorkerSettings,
    queue_settings: QueueSettings,
    redis_url: str,
    inherited: Mapping[str, str],
) -> list[dict[str, str]]:
    """Return the environments of `processes` workers, with evenly divided cores, a metrics port
    each, and `exit_with_parent` set."""
    threads = settings.worker_threads or max(1, available_cores() // processes)
    environments = []
    for slot in range(processes):
        port = settings.worker_metrics_port + slot if settings.worker_metrics_port else 0
        update = {"worker_threads": threads, "worker_metrics_port": port, "exit_with_parent": True}
        own = environment_of(settings.model_copy(update=update))
        queue = environment_of(queue_settings.model_copy(update={"redis_url": redis_url}))
        environments.append({**inherited, **queue, **own})
    return environments
