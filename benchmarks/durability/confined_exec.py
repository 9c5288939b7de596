"""Runs a program whose calls of fsync and fdatasync are handed to another process.

Usage: python -m benchmarks.durability.confined_exec SOCKET PROGRAM ARGUMENT...

The kernel suspends such a call until the receiver of its notifications has answered it (seccomp's
user notification, Linux 5.0). The notifications' descriptor is sent through the socket, an
inherited descriptor. Standard library alone, because nothing of this process is left in the
program.
"""

from __future__ import annotations

import ctypes
import os
import platform
import socket
import struct
import sys

PR_SET_NO_NEW_PRIVS = 38
SET_MODE_FILTER = 1
FLAG_NEW_LISTENER = 8
USER_NOTIF, ALLOW = 0x7FC00000, 0x7FFF0000
LOAD_NUMBER, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
NUMBERS = {"x86_64": (317, 74, 75), "aarch64": (277, 82, 83)}
"""Of seccomp, fsync and fdatasync, by processor."""


class Program(ctypes.Structure):
    """The kernel's `sock_fprog`."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def notifications() -> int:
    """Have this process's calls of fsync and fdatasync, and its children's, wait for answers;
    return the descriptor of their notifications. Raises OSError."""
    seccomp, fsync, fdatasync = NUMBERS[platform.machine()]
    instructions = [
        (LOAD_NUMBER, 0, 0, 0),
        (JUMP_IF_EQUAL, 1, 0, fsync),
        (JUMP_IF_EQUAL, 0, 1, fdatasync),
        (RETURN, 0, 0, USER_NOTIF),
        (RETURN, 0, 0, ALLOW),
    ]
    packed = b"".join(struct.pack("HBBI", *instruction) for instruction in instructions)
    buffer = ctypes.create_string_buffer(packed, len(packed))
    program = Program(len(instructions), ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    found = libc.syscall(seccomp, SET_MODE_FILTER, FLAG_NEW_LISTENER, ctypes.byref(program))
    if found < 0:
        raise OSError(ctypes.get_errno(), "seccomp's user notification is not available")
    return int(found)


def main() -> None:
    """Send the descriptor, then become the program."""
    with socket.socket(fileno=int(sys.argv[1])) as receiver:
        descriptor = notifications()
        socket.send_fds(receiver, [b"-"], [descriptor])
    os.close(descriptor)
    os.execv(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    main()
