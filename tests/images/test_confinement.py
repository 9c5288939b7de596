"""What a confined process may do: nothing to others, and what decoding needs."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from images.sandbox import seccomp

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in seccomp.MACHINES,
    reason="seccomp filters are for Linux on x86-64 and aarch64",
)

TRIALS = """
import ctypes, errno, json, os, signal, socket, subprocess, sys, threading
from pathlib import Path
from images.sandbox.confinement import confine

folder, parent = Path(sys.argv[1]), int(sys.argv[2])
libc = ctypes.CDLL(None, use_errno=True)

def called(number, *arguments):
    if libc.syscall(number, *arguments) < 0:
        raise OSError(ctypes.get_errno(), "")

FORBIDDEN = {
    "connect to Redis": lambda: socket.create_connection(("127.0.0.1", 1)),
    "open a socket": lambda: socket.socket(socket.AF_UNIX, socket.SOCK_STREAM),
    "write a new file": lambda: open(folder / "new", "w"),
    "append to a file": lambda: open(folder / "old", "a"),
    "remove a file": lambda: os.remove(folder / "old"),
    "rename a file": lambda: os.rename(folder / "old", folder / "other"),
    "make a folder": lambda: os.mkdir(folder / "folder"),
    "link a file": lambda: os.symlink("old", folder / "link"),
    "truncate a file": lambda: os.truncate(folder / "old", 0),
    "change a mode": lambda: os.chmod(folder / "old", 0),
    "fork": os.fork,
    "start a program": lambda: os.execv("/bin/true", ["true"]),
    "kill the worker": lambda: os.kill(parent, signal.SIGTERM),
    "signal a thread of the worker": lambda: called(TGKILL, parent, parent, 0),
    "trace the worker": lambda: called(PTRACE, 16, parent, 0, 0),
    "read the worker's limits": lambda: called(PRLIMIT, parent, 7, 0, 0),
    "make memory with a descriptor": lambda: os.memfd_create("x"),
}
TGKILL, PTRACE, PRLIMIT = (234, 101, 302) if os.uname().machine == "x86_64" else (131, 117, 261)

def thread():
    found = []
    t = threading.Thread(target=found.append, args=(1,))
    t.start()
    t.join()
    assert found

ALLOWED = {
    "read a file": lambda: (folder / "old").read_bytes(),
    "list a folder": lambda: os.listdir(folder),
    "start a thread": thread,
    "take memory": lambda: bytearray(50 << 20),
    "import a module": lambda: __import__("colorsys"),
}

seccomp = confine(1_000_000)

def outcome(work):
    try:
        work()
    except OSError as error:
        return errno.errorcode.get(error.errno, "OSError")
    except MemoryError:
        return "MemoryError"
    return "done"

result = {name: outcome(work) for name, work in (FORBIDDEN | ALLOWED).items()}
result["take much memory"] = outcome(lambda: bytearray(1 << 30))
result["open many files"] = outcome(lambda: [open(folder / "old") for _ in range(100)])
print(json.dumps({"seccomp": seccomp, "allowed": list(ALLOWED), "result": result}))
"""


def test_a_confined_process_can_read_and_compute_and_do_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"some bytes")
    command = [sys.executable, "-c", TRIALS, str(tmp_path), str(os.getpid())]
    ran = subprocess.run(command, check=True, capture_output=True, timeout=60)
    found = json.loads(ran.stdout)
    if not found["seccomp"]:
        pytest.skip("this kernel has no seccomp")
    allowed, result = found["allowed"], found["result"]
    assert result.pop("take much memory") == "MemoryError"
    assert result.pop("open many files") == "EMFILE"
    expected = {name: "done" if name in allowed else "EPERM" for name in result}
    assert result == expected
    assert (tmp_path / "old").read_bytes() == b"some bytes"
    assert [file.name for file in tmp_path.iterdir()] == ["old"]


def test_data_cannot_be_written_even_where_seccomp_is_missing(tmp_path: Path) -> None:
    script = (
        "import os, sys\n"
        "from images.sandbox import confinement\n"
        "confinement.seccomp.install = lambda: False\n"
        "assert confinement.confine(1) is False\n"
        "os.write(os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT), b'data')"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "new")]
    ran = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert b"File too large" in ran.stderr
    assert (tmp_path / "new").stat().st_size == 0


@pytest.mark.parametrize("machine", seccomp.MACHINES.values(), ids=seccomp.MACHINES)
def test_every_jump_of_a_filter_stays_within_it(machine: seccomp.Machine) -> None:
    code = seccomp.program(machine, 4711)
    count = len(code) // 8
    assert len(code) == 8 * count
    assert count < 4096  # BPF_MAXINSNS
    for place in range(count - 1):  # the last one returns
        _, true, false = code[8 * place], code[8 * place + 2], code[8 * place + 3]
        assert place + 1 + max(true, false) < count
    assert len(set(machine.denied)) == len(machine.denied)
