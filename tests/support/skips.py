"""Summary of skipped tests: one line per reason, with what to install."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator

REMEDIES = {
    r"redis-server is not installed": "apt install redis-server",
    r"[Cc]hromium": "apt install chromium",
    r"prometheus is not installed|promtool is not installed": "apt install prometheus",
    r"node is not installed": "apt install nodejs",
    r"curl is not installed": "apt install curl",
    r"kustomize or kubectl": "install kubectl",
    r"ANYSR_TEST_DATA": "see 'Benchmark photographs' in CONTRIBUTING.md",
    r"CUDA device$": "a machine with an NVIDIA GPU",
    r"could not import|extra \w+ is missing": "pip install -e '.[cpu,train,test]'",
}
"""Remedy for a reason to skip, by a pattern of the reason."""


def summary(reasons: Iterable[str]) -> Iterator[str]:
    """Yield a line for each reason, the most frequent first: how many tests, why, and what to do
    about it where something can be done."""
    plain = (reason.removeprefix("Skipped: ") for reason in reasons)
    for reason, count in Counter(plain).most_common():
        remedy = next((do for why, do in REMEDIES.items() if re.search(why, reason)), "")
        yield f"{count} skipped: {reason}" + (f" — {remedy}" if remedy else "")
