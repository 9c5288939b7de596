"""What of a server's files is on disk: the length of each when it was last written through.

The kernel hands every fsync and fdatasync of the server to this process (`confined_exec`), which
notes the file's length, writes the file through itself, and only then lets the server go on. So
whatever the server acknowledges afterwards is within the noted lengths, and a copy of its folder
cut to them is what the machine would find after a loss of power at that moment: the worst case, in
which the kernel has written nothing of its own accord. Changes of names count as written, because
the server writes the folder through after each.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import shutil
import socket
import struct
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from benchmarks.durability.server import TrialServer

RECEIVE, ANSWER = 0xC0502100, 0xC0182101
NOTIFICATION = struct.Struct("QIIiIQ6Q")
"""Id, process, flags; number, architecture, instruction pointer and arguments of the call."""
REPLY = struct.Struct("QqiI")


class Disk:
    """The lengths to which a server's files are on disk."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lengths: dict[int, int] = {}
        """By inode, because files are renamed."""
        self._held: dict[int, int] = {}
        """An open descriptor of each, so that no other file gets its inode."""
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._serve, name="disk", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Return when all notifications are handled. The server must have ended."""
        self._thread.join()
        for descriptor in (*self._held.values(), self._descriptor):
            os.close(descriptor)

    def _serve(self) -> None:
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        while any(events & select.POLLIN for _, events in poll.poll()):  # until no process is left
            request = bytearray(NOTIFICATION.size)
            with contextlib.suppress(OSError):  # the process was killed while it waited
                fcntl.ioctl(self._descriptor, RECEIVE, request)
                call, process, _, _, _, _, file, *_ = NOTIFICATION.unpack(request)
                error = self._write_through(process, file)
                fcntl.ioctl(self._descriptor, ANSWER, REPLY.pack(call, 0, -error, 0))

    def _write_through(self, process: int, file: int) -> int:
        """Write a file of a process to disk and note its length; return an errno, 0 for success."""
        try:
            descriptor = os.open(f"/proc/{process}/fd/{file}", os.O_RDONLY)
        except OSError as error:
            return error.errno or 1
        found = os.fstat(descriptor)
        if self._held.setdefault(found.st_ino, descriptor) != descriptor:
            os.close(descriptor)
        try:
            os.fdatasync(self._held[found.st_ino])
        except OSError as error:
            return error.errno or 1
        with self._lock:
            self._lengths[found.st_ino] = found.st_size
        return 0

    def copy(self, folder: Path, target: Path) -> int:
        """Copy a folder as it would be found after a loss of power now; return the number of bytes
        that it has lost. The server must have ended."""
        lost = 0
        shutil.copytree(folder, target)
        with self._lock:
            for file in filter(Path.is_file, folder.rglob("*")):
                found = file.stat()
                length = min(self._lengths.get(found.st_ino, 0), found.st_size)
                os.truncate(target / file.relative_to(folder), length)
                lost += found.st_size - length
        return lost


@contextlib.contextmanager
def watched(server: TrialServer) -> Iterator[Disk]:
    """Run a server whose disk is watched. Raises RedisUnavailableError, and OSError where the
    kernel has no user notification."""
    here, there = socket.socketpair()
    with here:
        with there:
            number = there.fileno()
            wrapper = (
                sys.executable,
                "-P",
                "-m",
                "benchmarks.durability.confined_exec",
                str(number),
            )
            server.spawn(wrapper, pass_fds=(number,))
        _, descriptors, _, _ = socket.recv_fds(here, 1, 1)
    if not descriptors:
        server.kill()
        raise OSError(f"the disk cannot be watched here: {server.log.last_line}")
    disk = Disk(descriptors[0])
    try:
        server.await_answer()
        yield disk
    finally:
        server.kill()
        disk.close()
