"""A worker's products of matrices leave the other cores alone."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
from threadpoolctl import threadpool_info
from jobs.settings import QueueSettings
from workers.main import RedisMissing, run
from workers.settings import WorkerSettings

try:
    run(WorkerSettings(), QueueSettings(redis_url=None))
except RedisMissing:
    print([pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"])
"""


def test_a_worker_has_no_blas_threads_beside_the_one_that_asks() -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-c", SCRIPT],
        env={"OPENBLAS_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        check=True,
    )

    threads = done.stdout.strip()
    assert threads.startswith("[1")
    assert set(threads) <= set("[1, ]")
