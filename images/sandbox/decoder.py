"""A worker's decoder: a process that is kept from picture to picture, and replaced when it fails.

Decoders are native code that reads foreign bytes. In a process of their own a crash costs one
picture, a loop without end is killed, memory is bounded, and a fault that can be abused gains
nothing (`images.sandbox.confinement`).
"""

from __future__ import annotations

import contextlib
import logging
import math
import mmap
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Any

import numpy as np

from images.colour_space import Calibration, Cicp, ColourSpace
from images.features import BANDS
from images.memory import MOST_SAMPLE_BYTES
from images.metadata.packing import unpacked
from images.picture import Features, Picture, PictureKind, Raster
from images.sandbox import wire
from jobs.errors import AnysrError, CorruptImage, DecodingTooLong, InternalError, from_code

log = logging.getLogger("anysr.images.sandbox")

COMMAND = (sys.executable, "-P", "-m", "images.sandbox.child")
START_S = 60.0
"""A new process must be ready by then; it takes half a second on an idle core."""
HANDOVER_S = 1.0
"""Least time for copying a decoded picture: 42 ms for 12 megapixels on two busy cores."""
KEPT_VARIABLES = ("PATH", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "LANG")
"""Of the environment, which may hold keys and passwords."""
SETTINGS = {
    **dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1"),
    # Freed pictures go back to the system (mallopt(3)); threads of decoders share one heap.
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": str(1 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(8 << 20),
}
MAX_METADATA_BYTES = 64 << 20
MOST_FEATURE = 16.0
"""Bound on the magnitude of each feature, which are logarithms of numbers from 0 to 255 squared."""


class End(StrEnum):
    """Why a decoder process ended, or a picture was refused for its memory."""

    TIMEOUT = "timeout"
    CRASH = "crash"
    MEMORY = "memory"
    INTERRUPTED = "interrupted"


class DecodingInterrupted(Exception):
    """`BoundedDecode.interrupt` was called."""


def supported() -> bool:
    """Return whether this system has what the sandbox needs, which is Linux."""
    return sys.platform == "linux"


class SandboxedDecoder:
    """Decodes pictures of at most `max_pixels` in a process of its own, one at a time.

    `on_end` is called with each abnormal end. Start early: a process takes half a second to load.
    """

    def __init__(self, max_pixels: int, on_end: Callable[[End], None] = lambda end: None) -> None:
        self._max_pixels = max_pixels
        self._on_end = on_end
        self._turn = threading.Lock()
        self._state = threading.Lock()
        self._process: _Process | None = None

    def start(self) -> None:
        """Start the process, unless it runs; return at once."""
        with self._state:
            if self._process is not None and self._process.ended:
                log.error("the decoder process ended between two pictures")
                self._on_end(End.CRASH)
                self._process.kill()
                self._process = None
            if self._process is None:
                self._process = _Process(self._max_pixels)

    def close(self) -> None:
        """End the process."""
        with self._state:
            if self._process is not None:
                self._process.kill()
            self._process = None

    @property
    def pid(self) -> int | None:
        """The id of the process; None while there is none."""
        with self._state:
            return None if self._process is None else self._process.pid

    def within(self, seconds: float) -> BoundedDecode:
        """Return a function for one picture, which must be decoded within `seconds`."""
        return BoundedDecode(self, seconds)

    def decode(
        self, data: bytes, max_pixels: int, frame: int | None, call: BoundedDecode
    ) -> Picture:
        """Decode as `images.decode.decode`. Raises also DecodingTooLong, CorruptImage if the
        process dies of the picture, and DecodingInterrupted."""
        begun, call.begun = call.begun, False
        if not begun:
            self._turn.acquire()
        try:
            if not begun:
                self.start()
            return self._decode(data, max_pixels, frame, call, begun)
        finally:
            self._turn.release()

    def begin(self, data: bytes, max_pixels: int, frame: int | None, call: BoundedDecode) -> bool:
        """Send a picture of at most `wire.MOST_INLINE_BYTES`, if the process is ready and idle;
        return whether it was sent. `decode` or `abandon` of the same call must follow then."""
        if not 0 < len(data) <= wire.MOST_INLINE_BYTES or not self._turn.acquire(blocking=False):
            return False
        process, sent = self._process, False
        try:
            if process is not None and process.ready and not process.ended:
                process.send(data, max_pixels, frame, call.seconds)
                sent = True
        except OSError as error:  # `decode` replaces the process
            log.warning("the decoder process does not take a picture: %s", error)
        finally:
            if not sent:
                self._turn.release()
        return sent

    def _decode(
        self, data: bytes, max_pixels: int, frame: int | None, call: BoundedDecode, begun: bool
    ) -> Picture:
        process = self._process
        if process is None:
            raise InternalError  # closed meanwhile
        try:
            process.wait_until_ready()
            with call.running(process):
                until = time.monotonic() + call.seconds
                if not begun:
                    process.send(data, max_pixels, frame, call.seconds)
                return process.answer(max_pixels, until)
        except AnysrError:
            raise
        except DecodingInterrupted as interruption:
            if begun:  # its answer is still to come
                raise self._replaced(process, call, interruption) from None
            raise
        except (EOFError, OSError, ValueError, KeyError, TypeError) as error:
            raise self._replaced(process, call, error) from error
        finally:
            if process.memory_refused:
                process.memory_refused = False
                self._on_end(End.MEMORY)

    def _replaced(self, process: _Process, call: BoundedDecode, error: Exception) -> Exception:
        """Replace a process that failed, and return the error of its picture."""
        ready, code = process.ready, process.kill()
        with self._state:
            if self._process is process:
                self._process = _Process(self._max_pixels)
        if call.interrupted:
            self._on_end(End.INTERRUPTED)
            return DecodingInterrupted()
        if not ready:
            log.error("the decoder process did not start (code %s): %r", code, error)
            return InternalError()
        if isinstance(error, TimeoutError) or code == -signal.SIGXCPU:
            log.warning("a picture took longer than %.1f s to decode", call.seconds)
            self._on_end(End.TIMEOUT)
            return DecodingTooLong()
        log.error("the decoder process ended (code %s) with a picture: %r", code, error)
        self._on_end(End.CRASH)
        return CorruptImage()


class BoundedDecode:
    """The decoding of one picture within a time, which may be interrupted from another thread."""

    def __init__(self, decoder: SandboxedDecoder, seconds: float) -> None:
        self.seconds = seconds
        self.interrupted = False
        self.begun = False
        """Whether the picture was sent, and nobody waits for it yet."""
        self._decoder = decoder
        self._lock = threading.Lock()
        self._process: _Process | None = None

    def __call__(self, data: bytes, max_pixels: int, frame: int | None = None) -> Picture:
        return self._decoder.decode(data, max_pixels, frame, self)

    def begin(self, data: bytes, max_pixels: int, frame: int | None = None) -> None:
        """Decode a small picture while the caller does something else. A call with the same
        arguments then waits for it, or `abandon`, which must follow otherwise."""
        self.begun = self._decoder.begin(data, max_pixels, frame, self)

    def abandon(self, max_pixels: int) -> None:
        """Wait for a picture that was begun and is not needed; without one, do nothing."""
        if self.begun:
            with contextlib.suppress(AnysrError, DecodingInterrupted):
                self(b"", max_pixels)

    def interrupt(self) -> None:
        """End the decoding, which then raises DecodingInterrupted; also before it has begun."""
        with self._lock:
            self.interrupted = True
            if self._process is not None:
                self._process.signal()

    @contextlib.contextmanager
    def running(self, process: _Process) -> Iterator[None]:
        """Let `interrupt` end this process inside the block."""
        with self._lock:
            if self.interrupted:
                raise DecodingInterrupted
            self._process = process
        try:
            yield
        finally:
            with self._lock:
                self._process = None


class _Process:
    """One decoder process and the worker's end of its socket."""

    def __init__(self, max_pixels: int) -> None:
        self.ready = False
        self.memory_refused = False
        self._socket, theirs = wire.socket_pair()
        with theirs:
            self._child = subprocess.Popen(
                [*COMMAND, str(theirs.fileno()), str(max_pixels)],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=_environment(),
                process_group=0,  # Ctrl-C is for the worker, which finishes its job
            )
        self._started = time.monotonic()

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def ended(self) -> bool:
        return self._child.poll() is not None

    def wait_until_ready(self) -> None:
        """Wait until foreign bytes may be sent. Raises EOFError and TimeoutError."""
        if self.ready:
            return
        self._wait_until(self._started + START_S)
        with wire.received(self._socket) as (message, _, _):
            self.ready = True
            if not message["seccomp"]:
                log.warning("no seccomp on this system: decoders are limited by resources alone")

    def send(self, data: bytes, max_pixels: int, frame: int | None, seconds: float) -> None:
        """Send a picture. Raises OSError if the process died."""
        request = {"max_pixels": max_pixels, "frame": frame, "seconds": seconds}
        self._socket.settimeout(max(0.001, seconds))
        if 0 < len(data) <= wire.MOST_INLINE_BYTES:
            wire.send(self._socket, request, inline=data)
        else:
            with wire.shared_memory(max(1, len(data))) as (mapped, descriptor):
                mapped.write(data)
                mapped.close()
                wire.send(self._socket, request, (descriptor,))

    def answer(self, max_pixels: int, until: float) -> Picture:
        """Return the picture that was sent. Raises its error, TimeoutError, EOFError or OSError if
        the process dies, and ValueError, KeyError or TypeError if it answers nonsense."""
        with self._answer(until) as (facts, inline, _):
            if "code" in facts:
                self.memory_refused = bool(facts.get("memory"))
                raise from_code(facts["code"], facts["detail"], **facts.get("details", {}))
            return self._picture(facts, inline, max_pixels, until)

    def _picture(
        self, facts: dict[str, Any], inline: bytes, max_pixels: int, until: float
    ) -> Picture:
        """Return the picture whose bytes came with its facts, or which the process writes into
        memory of ours."""
        height, width, channels = (int(side) for side in facts["shape"])
        layout = PictureKind(facts["kind"])
        kind: np.dtype[Any] = np.dtype({8: "uint8", 16: "uint16"}[facts["bits"]])
        count = height * width * channels
        samples, icc, more = count * kind.itemsize, facts["icc"] or 0, facts["metadata"]
        if not 0 < samples <= MOST_SAMPLE_BYTES * max_pixels or channels not in (1, 2, 3, 4):
            raise ValueError("samples beyond the bounds")
        if not 0 <= min(icc, more) <= icc + more <= MAX_METADATA_BYTES:
            raise ValueError("metadata beyond the bounds")
        size = samples + icc + more
        if inline and len(inline) != size:
            raise ValueError("other bytes than announced")
        # It is decoded: a worker that was stopped meanwhile does not blame the picture.
        until = max(until, time.monotonic() + HANDOVER_S)
        held = bytearray(inline) if inline else self._written(size, until)
        metadata, rights = unpacked(bytes(held[samples + icc :]), count=2)
        made = np.frombuffer(held, kind, count).reshape(height, width, channels)
        return Picture(
            Raster(made, _features(facts["features"])),
            layout,
            bytes(held[samples : samples + icc]) if facts["icc"] is not None else None,
            metadata,
            rights,
            _space(facts["space"]),
            bool(facts["converted"]),
        )

    def _written(self, size: int, until: float) -> mmap.mmap:
        """Return memory that the process has written a picture's bytes into."""
        with wire.shared_memory(size) as (mapped, descriptor):
            wire.send(self._socket, {}, (descriptor,))
            with self._answer(until):
                return mapped

    @contextlib.contextmanager
    def _answer(self, until: float) -> Iterator[wire.Received]:
        self._wait_until(until)
        with wire.received(self._socket) as answer:
            yield answer

    def _wait_until(self, until: float) -> None:
        self._socket.settimeout(max(0.001, until - time.monotonic()))

    def signal(self) -> None:
        """Kill the process, and leave the rest to the thread that waits for it."""
        self._child.kill()

    def kill(self) -> int:
        """Kill the process and return its exit code: the one of its own end, if it had one."""
        self._child.kill()
        self._socket.close()
        return self._child.wait()


def _features(facts: list[Any]) -> Features:
    """Return the features that the process has measured. Raises ValueError for impossible ones."""
    bands, blockiness, sparsity = facts
    features = Features(tuple(map(float, bands)), float(blockiness), float(sparsity))
    if len(features.bands) != BANDS or not all(
        -MOST_FEATURE < value < MOST_FEATURE for value in (*features.bands, *features[1:])
    ):
        raise ValueError("impossible features")
    return features


def _space(facts: dict[str, Any] | None) -> ColourSpace | None:
    """Return the colour space that the process names. Raises ValueError for another one."""
    if facts is None:
        return None
    if facts["named"]:
        space = Cicp.stated(int(facts["primaries"]), int(facts["transfer"]))
        if space is None:
            raise ValueError("no colour space")
        return space
    gamma, points = facts["gamma"], facts["chromaticities"]
    if points is not None and len(points) != 8:
        raise ValueError("no chromaticities")
    return Calibration(
        None if gamma is None else int(gamma), points and tuple(int(value) for value in points)
    )


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    return {**kept, **SETTINGS}


def decoding_seconds(most: float, slack_s: float, grace_s: float) -> float:
    """Return how long a picture may take to decode: `most`, and no longer than its job's slack and
    a grace, which a late job has as well."""
    return most if math.isinf(slack_s) else min(most, max(0.0, slack_s) + grace_s)
