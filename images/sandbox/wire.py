"""Messages between a worker and its decoder: a JSON object each, with file descriptors.

They travel over a Unix socket pair of SOCK_SEQPACKET, which keeps their boundaries. Bytes of
pictures never do: they lie in anonymous memory whose descriptor is sent.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

MAX_MESSAGE_BYTES = 64 << 10
MAX_DESCRIPTORS = 1


def socket_pair() -> tuple[socket.socket, socket.socket]:
    """Return two connected sockets."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def send(to: socket.socket, message: Mapping[str, Any], descriptors: Sequence[int] = ()) -> None:
    """Send a message, with descriptors that stay open here as well."""
    socket.send_fds(to, [json.dumps(message).encode()], descriptors)


@contextlib.contextmanager
def received(by: socket.socket) -> Iterator[tuple[dict[str, Any], list[int]]]:
    """Wait for a message and yield it with its descriptors, which are closed at the end.

    Raises EOFError once the other side is gone, TimeoutError at the socket's timeout, and
    ValueError for what is no message.
    """
    data, descriptors, _, _ = socket.recv_fds(by, MAX_MESSAGE_BYTES, MAX_DESCRIPTORS)
    try:
        if not data:
            raise EOFError
        message = json.loads(data)
        if not isinstance(message, dict):
            raise ValueError("not an object")
        yield message, descriptors
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
