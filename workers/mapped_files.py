"""Pages of libraries that a resting worker keeps mapped, and gives up (Linux).

Loading networks maps some 80 MB of the code and constants of OpenVINO and ONNX Runtime; runs need
little of it. The system keeps the pages in its cache while it has room, and maps them again where
they are needed, which takes a few milliseconds altogether.
"""

from __future__ import annotations

import ctypes
import re
import sys
from collections.abc import Iterator
from pathlib import Path

MADV_DONTNEED = 4
"""As numbered in Linux's mman-common.h."""
SMAPS = Path("/proc/self/smaps")

_HEAD = re.compile(
    r"^(?P<start>[0-9a-f]+)-(?P<end>[0-9a-f]+) r-[x-]p \S+ \S+ (?P<inode>[1-9]\d*) .*\n"
    r"(?P<facts>(?:[A-Z]\w+:.*\n)+)",
    re.MULTILINE,
)
_UNCHANGED = re.compile(r"^Anonymous: +0 kB$", re.MULTILINE)


def unmap_unchanged_pages() -> None:
    """Let go of the pages of read-only parts of files of which this process has changed none: what
    they hold is read from the files again."""
    if sys.platform != "linux":
        return
    advise = ctypes.CDLL(None).madvise
    for start, end in unchanged_parts(SMAPS.read_text()):
        advise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), MADV_DONTNEED)


def unchanged_parts(smaps: str) -> Iterator[tuple[int, int]]:
    """Yield [start, end) of the private mappings of files, in the form of proc(5), that can only be
    read or executed and have no page of the process's own."""
    for part in _HEAD.finditer(smaps):
        if _UNCHANGED.search(part["facts"]):
            yield int(part["start"], 16), int(part["end"], 16)
