"""A resting worker gives up pages of files, but none that it has changed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from workers.mapped_files import unchanged_parts

SMAPS = """
55d0c000-55d10000 r--p 00000000 fe:00 260386                     /usr/lib/libcode.so
Rss:                  16 kB
Anonymous:             0 kB
VmFlags: rd mr mw me
55d10000-55d20000 r-xp 00004000 fe:00 260386                     /usr/lib/libcode.so
Rss:                  64 kB
Anonymous:             0 kB
VmFlags: rd ex mr mw me
55d20000-55d24000 r--p 00014000 fe:00 260386                     /usr/lib/libcode.so
Rss:                  16 kB
Anonymous:             4 kB
VmFlags: rd mr mw me
55d24000-55d28000 rw-p 00018000 fe:00 260386                     /usr/lib/libcode.so
Rss:                  16 kB
Anonymous:             0 kB
VmFlags: rd wr mr mw me
55d28000-55d2c000 r--s 00000000 fe:00 300001                     /tmp/shared
Rss:                  16 kB
Anonymous:             0 kB
VmFlags: rd sh mr mw me
55d2c000-55d30000 r--p 00000000 00:00 0
Rss:                  16 kB
Anonymous:             0 kB
VmFlags: rd mr mw me
""".lstrip()


def test_only_private_parts_of_files_without_changes_are_given_up() -> None:
    assert list(unchanged_parts(SMAPS)) == [(0x55D0C000, 0x55D10000), (0x55D10000, 0x55D20000)]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="smaps is Linux's")
def test_a_process_goes_on_with_less_memory() -> None:
    program = """
import numpy as np, onnxruntime, psutil
from workers.mapped_files import unmap_unchanged_pages
square = np.arange(10000.0).reshape(100, 100)
before, made = psutil.Process().memory_info(), square @ square
unmap_unchanged_pages()
after = psutil.Process().memory_info()
assert (square @ square == made).all() and onnxruntime.get_available_providers()
print(before.rss - after.rss)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 8 << 20
