"""Messages between a worker and its decoder: a JSON object each, with bytes or file descriptors.

They travel over a Unix socket pair of SOCK_SEQPACKET, which keeps their boundaries. The bytes of a
small picture follow the object after a newline. Those of a larger one lie in anonymous memory whose
descriptor is sent.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

MAX_MESSAGE_BYTES = 64 << 10
MAX_DESCRIPTORS = 1
MOST_INLINE_BYTES = MAX_MESSAGE_BYTES - (8 << 10)
"""More bytes than this do not travel in a message."""


def socket_pair() -> tuple[socket.socket, socket.socket]:
    """Return two connected sockets."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


class Received(NamedTuple):
    """A message that has arrived."""

    message: dict[str, Any]
    inline: bytes
    """The bytes that came in the message itself."""
    descriptors: list[int]


def send(
    to: socket.socket,
    message: Mapping[str, Any],
    descriptors: Sequence[int] = (),
    inline: bytes = b"",
) -> None:
    """Send a message, with descriptors that stay open here as well, or with at most
    `MOST_INLINE_BYTES` bytes."""
    parts = json.dumps(message).encode(), b"\n", inline
    if descriptors:
        socket.send_fds(to, list(parts), descriptors)
    else:
        to.sendmsg(parts)


@contextlib.contextmanager
def received(by: socket.socket) -> Iterator[Received]:
    """Wait for a message and yield it; its descriptors are closed at the end.

    Raises EOFError once the other side is gone, TimeoutError at the socket's timeout, and
    ValueError for what is no message.
    """
    data, descriptors, _, _ = socket.recv_fds(by, MAX_MESSAGE_BYTES, MAX_DESCRIPTORS)
    try:
        if not data:
            raise EOFError
        head, _, inline = data.partition(b"\n")
        message = json.loads(head)
        if not isinstance(message, dict):
            raise ValueError("not an object")
        yield Received(message, inline, descriptors)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


@contextlib.contextmanager
def shared_memory(size: int) -> Iterator[tuple[mmap.mmap, int]]:
    """Yield anonymous memory of `size` bytes, at least 1, and its descriptor, which is closed at
    the end; the mapping stays as long as it is referenced. Raises OSError without memory."""
    descriptor = os.memfd_create("anysr-picture", os.MFD_CLOEXEC)
    try:
        os.ftruncate(descriptor, size)
        yield mmap.mmap(descriptor, size), descriptor
    finally:
        os.close(descriptor)
