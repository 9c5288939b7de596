"""The decoder process: decodes one picture after the other for the worker that started it.

It begins with little: an environment without secrets, and a socket to its worker as the only open
descriptor. It loads what decoding needs, confines itself, and then reads the first foreign byte.
It ends with its worker, whose end of the socket closes.
"""

from __future__ import annotations

import gc
import mmap
import os
import select
import socket
import sys
from dataclasses import asdict
from typing import Any

import numpy as np

from images.colour_space import Cicp, ColourSpace
from images.decode import decode
from images.features import measured
from images.heic import reads_heic
from images.libjxl import libjxl
from images.malloc import trim
from images.metadata.packing import packed
from images.picture import Picture, Samples
from images.sandbox import wire
from images.sandbox.confinement import confine, limit_cpu
from jobs.errors import AnysrError, ImageTooLarge

IDLE_MS = 5000
"""How long no picture must have come for the memory of earlier ones to be released."""
TOO_MUCH_MEMORY = "The image takes more memory to decode than this service allows; send it smaller."


def main(descriptor: int, max_pixels: int) -> None:
    """Serve a socket until it is closed."""
    worker = socket.socket(fileno=descriptor)
    measured(np.zeros((1, 1, 1), np.uint8))  # computes its tables before memory is limited
    libjxl()  # loads the library, if it is installed
    reads_heic()  # the same
    wire.send(worker, {"ready": True, "seccomp": confine(max_pixels)})
    arriving = select.poll()
    arriving.register(worker, select.POLLIN)
    while True:
        if not arriving.poll(IDLE_MS):
            release_memory()
            arriving.poll()
        try:
            _serve(worker)
        except EOFError:
            return


def release_memory() -> None:
    """Free unreachable objects, and return free memory to the system."""
    gc.collect()
    trim()


def _serve(worker: socket.socket) -> None:
    with wire.received(worker) as (request, inline, descriptors):
        limit_cpu(request["seconds"])
        data = _read(*descriptors) if descriptors else inline
        max_pixels, frame = int(request["max_pixels"]), request["frame"]
    try:
        picture = decode(data, max_pixels, None if frame is None else int(frame))
    except AnysrError as error:
        wire.send(worker, {"code": error.code, "detail": error.detail, "details": error.details})
    except MemoryError:
        wire.send(worker, {"code": ImageTooLarge.code, "detail": TOO_MUCH_MEMORY, "memory": True})
    else:
        _answer(worker, picture)


def _answer(worker: socket.socket, picture: Picture) -> None:
    """Send a picture: a small one in one message, a larger one through memory of the worker."""
    metadata = packed((picture.metadata, picture.rights))
    facts, beside = facts_of(picture, metadata), (picture.icc or b"") + metadata
    samples = picture.pixels.samples
    if samples.nbytes + len(beside) <= wire.MOST_INLINE_BYTES:
        wire.send(worker, facts, inline=samples.tobytes() + beside)
        return
    wire.send(worker, facts)
    with wire.received(worker) as (_, _, (shared,)):
        _write(samples, beside, shared)
    wire.send(worker, {"written": True})


def facts_of(picture: Picture, metadata: bytes) -> dict[str, Any]:
    """Return what a worker needs to read a picture's bytes: samples, then the ICC profile, then the
    packed metadata."""
    samples = picture.pixels.samples
    return {
        "shape": samples.shape,
        "bits": picture.pixels.bit_depth,
        "kind": picture.kind.value,
        "icc": None if picture.icc is None else len(picture.icc),
        "metadata": len(metadata),
        "features": measured(samples),
        "space": _space_facts(picture.space),
        "converted": picture.converted,
    }


def _space_facts(space: ColourSpace | None) -> dict[str, Any] | None:
    if space is None:
        return None
    return {"named": isinstance(space, Cicp), **asdict(space)}


def _read(descriptor: int) -> bytes:
    with mmap.mmap(descriptor, 0, prot=mmap.PROT_READ) as mapped:
        return mapped[:]


def _write(samples: Samples, beside: bytes, descriptor: int) -> None:
    with mmap.mmap(descriptor, 0) as mapped:
        into = np.frombuffer(mapped, samples.dtype, samples.size)
        into.reshape(samples.shape)[:] = samples
        del into  # a mapping that is viewed cannot be closed
        mapped.seek(samples.nbytes)
        mapped.write(beside)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
    os._exit(0)  # nothing is to be tidied up, and a damaged heap could hang
