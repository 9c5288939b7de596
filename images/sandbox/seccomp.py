"""A seccomp filter (Linux) of system calls that no decoder needs and every intruder wants.

The filter is a list of what is forbidden, because the libraries behind decoders differ in what they
call (threads, memory, clocks) between releases. A forbidden call fails with EPERM. Written here in
40 lines of BPF: the bindings of libseccomp are unmaintained, and need a library of the system.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
from dataclasses import dataclass

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
ALLOW, ERRNO, KILL_PROCESS = 0x7FFF0000, 0x00050000, 0x80000000
"""Values of linux/seccomp.h; the error number of ERRNO is its low half."""
LOAD, JUMP_EQUAL, JUMP_AT_LEAST, JUMP_SET, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
"""Instructions of linux/bpf_common.h: load a word, jump if the accumulator equals, is at least, or
has a bit of a constant, and return a constant."""
NUMBER_AT, MACHINE_AT, ARGUMENTS_AT = 0, 4, 16
"""Offsets of struct seccomp_data. Arguments have 8 bytes, low half first on both machines."""
X32_CALLS = 0x40000000
"""On x86-64, numbers from here on are a second set of the same calls."""

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
CLONE_THREAD = 0x00010000


@dataclass(frozen=True)
class Machine:
    """The numbers of system calls of one processor architecture (asm/unistd.h)."""

    audit: int
    """Its AUDIT_ARCH (linux/audit.h)."""
    opens: tuple[tuple[int, int], ...]
    """Calls that open a file, each with the place of its flags among the arguments."""
    clone: int
    clone3: int
    signals: tuple[int, ...]
    """tgkill and prlimit64, allowed on the process itself: by its id, or 0."""
    denied: tuple[int, ...]


_LATER = (
    *(424, 425, 434, 438),  # pidfd_send_signal, io_uring_setup, pidfd_open, pidfd_getfd
    *(428, 429, 430, 431, 432, 437, 442),  # open_tree to fsmount, openat2, mount_setattr
)
"""Calls that have the same number everywhere."""

MACHINES = {
    "x86_64": Machine(
        audit=0xC000003E,
        opens=((2, 1), (257, 2)),
        clone=56,
        clone3=435,
        signals=(234, 302),
        denied=(
            *(41, 42, 43, 49, 50, 288),  # socket, connect, accept, bind, listen, accept4
            *(57, 58, 59, 322),  # fork, vfork, execve, execveat
            *(62, 200, 129, 297, 101, 310, 311),  # kill to rt_tgsigqueueinfo, ptrace, process_vm_*
            *(76, 82, 83, 84, 85, 86, 87, 88, 90, 91, 92, 93, 94),  # truncate, rename to lchown
            *(132, 133, 161, 165, 166, 155),  # utime, mknod, chroot, mount, umount2, pivot_root
            *(188, 189, 190, 197, 198, 199),  # setxattr and removexattr
            *(235, 258, 259, 260, 261, 263, 264, 265, 266, 268, 280, 316),  # the same at a folder
            *(246, 248, 249, 250, 272, 298, 308, 319, 321, 323),  # kexec to userfaultfd
            *_LATER,
        ),
    ),
    "aarch64": Machine(
        audit=0xC00000B7,
        opens=((56, 2),),
        clone=220,
        clone3=435,
        signals=(131, 261),
        denied=(
            *(198, 200, 201, 202, 203, 242),  # socket, bind, listen, accept, connect, accept4
            *(221, 281),  # execve, execveat
            *(129, 130, 138, 240, 117, 270, 271),  # kill to rt_tgsigqueueinfo, ptrace, process_vm_*
            *(33, 34, 35, 36, 37, 38, 45, 52, 53, 54, 55, 276, 88),  # mknodat to utimensat
            *(39, 40, 41, 51),  # umount2, mount, pivot_root, chroot
            *(5, 6, 7, 14, 15, 16),  # setxattr and removexattr
            *(97, 104, 217, 218, 219, 241, 268, 279, 280, 282),  # unshare to userfaultfd
            *_LATER,
        ),
    ),
}


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def install() -> bool:
    """Forbid the calls to this process from now on, in all threads that it starts. Return False
    where the system has no seccomp, or the processor is not among `MACHINES`."""
    machine = MACHINES.get(platform.machine())
    if sys.platform != "linux" or machine is None or sys.byteorder != "little":
        return False
    code = program(machine, os.getpid())
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        return False
    filters = _Program(len(code) // 8, code)
    installed: int = libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(filters), 0, 0)
    return installed == 0


def program(machine: Machine, process: int) -> bytes:
    """Return the filter of a process as BPF instructions of 8 bytes each."""
    deny = _instruction(RETURN, ERRNO | errno.EPERM)
    code = [
        _instruction(LOAD, MACHINE_AT),
        *_unless(JUMP_EQUAL, machine.audit, _instruction(RETURN, KILL_PROCESS), negated=True),
        _instruction(LOAD, NUMBER_AT),
        *_unless(JUMP_AT_LEAST, X32_CALLS, deny),
        # Refused as unknown, so that the C library starts its threads by clone instead, whose
        # flags a filter can read.
        *_unless(JUMP_EQUAL, machine.clone3, _instruction(RETURN, ERRNO | errno.ENOSYS)),
    ]
    for number in machine.denied:
        code += _unless(JUMP_EQUAL, number, deny)
    for number, place in machine.opens:
        code += _on_call(number, place, _unless(JUMP_SET, WRITING, deny))
    thread = [_instruction(JUMP_SET, CLONE_THREAD, true=1), deny]
    code += _on_call(machine.clone, 0, thread)
    for number in machine.signals:
        own = [
            _instruction(JUMP_EQUAL, process, true=2),
            _instruction(JUMP_EQUAL, 0, true=1),
            deny,
        ]
        code += _on_call(number, 0, own)
    return b"".join([*code, _instruction(RETURN, ALLOW)])


def _instruction(code: int, constant: int, true: int = 0, false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, true, false, constant)


def _unless(jump: int, constant: int, action: bytes, negated: bool = False) -> list[bytes]:
    """Return instructions that take the action if the condition holds (or does not: `negated`)."""
    holds, fails = (1, 0) if negated else (0, 1)
    return [_instruction(jump, constant, holds, fails), action]


def _on_call(number: int, place: int, checks: list[bytes]) -> list[bytes]:
    """Return instructions that check an argument of one call and then allow it."""
    allowed = [
        _instruction(LOAD, ARGUMENTS_AT + 8 * place),
        *checks,
        _instruction(RETURN, ALLOW),
    ]
    return [_instruction(JUMP_EQUAL, number, 0, len(allowed)), *allowed]
