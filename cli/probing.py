"""A foreign graph, opened and run in a process of its own within bounds of time and memory."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from images.sandbox.decoder import KEPT_VARIABLES
from models.probing.probe import Findings, Stated
from models.probing.refusal import NotServable

COMMAND = (sys.executable, "-P", "-m", "cli.probe_child")


def probe_file(
    graph: Path, written: Path, stated: Stated, seconds: float, say: Callable[[str], None]
) -> Findings:
    """Return what is found of a graph in a file, which is copied to `written` with its weights.
    Findings are said as they are made. Raises NotServable."""
    environment = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    with written.open("wb") as file:
        process = subprocess.Popen(
            [*COMMAND, str(graph), str(file.fileno())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            pass_fds=(file.fileno(),),
            text=True,
        )
    timer = threading.Timer(seconds, process.kill)
    timer.start()
    try:
        with process:  # closes its pipes, and waits for its end
            return _findings(process, stated, timer, say)
    finally:
        timer.cancel()


def _findings(
    process: subprocess.Popen[str],
    stated: Stated,
    timer: threading.Timer,
    say: Callable[[str], None],
) -> Findings:
    assert process.stdin is not None  # for the type checker
    assert process.stdout is not None
    last = "reading it"
    try:
        with contextlib.suppress(BrokenPipeError), process.stdin as stdin:
            stdin.write(stated.model_dump_json())
        for line in process.stdout:
            message: dict[str, Any] = json.loads(line)
            if "findings" in message:
                return Findings.model_validate(message["findings"])
            if "error" in message:
                raise NotServable(str(message["error"]))
            last = str(message["said"])
            say(last)
        if timer.is_alive():
            raise NotServable(f"It ended the process that ran it, after: {last}.")
        raise NotServable(f"It was not done within {timer.interval:g} s, after: {last}.")
    finally:
        process.kill()
