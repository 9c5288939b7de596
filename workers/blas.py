"""The threads of the BLAS behind numpy.

OpenBLAS has one per core, and after a product each of them spins for tens of milliseconds in the
hope of another one. A worker's products are small, the cores beside it belong to the networks of
other workers, and spinning slowed them by a half.
"""

from __future__ import annotations

from threadpoolctl import threadpool_limits


def use_one_thread() -> None:
    """Have this process compute products of matrices on the threads that ask for them."""
    threadpool_limits(limits=1, user_api="blas")
