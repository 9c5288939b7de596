"""What no scheduler could do better: the quality of an offline relaxation, by linear programming.

Every schedule in which each picture is made by one worker, alone, gives a feasible point of this
program with the same value, so the program's best value bounds that of all of them:

- `x[j, k]` is 1 if request j is made in way k *and in time*, else 0. Pictures that are late or
  never made are all 0: they count for nothing, and their work is free of charge. A request is
  made at most once, `sum_k x[j, k] <= 1`; the sum of all x is the number that is in time.
- `y[j, t]` is the worker time that the run of j takes in cell t of a time grid. A run in time lies
  between arrival and deadline, so only cells that touch this window have a `y`. One worker makes
  it, so `y[j, t] <= cell`, and together they are what its way really takes, known in advance:
  `sum_t y[j, t] = sum_k cost[j, k] x[j, k]`. A way that takes longer than the budget has x = 0.
- All workers together give each cell `sum_j y[j, t] <= workers * cell`.

The program may also take points that are no schedule: parts of pictures in parts of ways, that
pause and move between workers at will, with every arrival known from the start, in windows
widened to whole cells. That can only make its best value larger. A coarser grid gives a looser
bound, never a wrong one. It does not hold for strategies that run pictures in batches, whose
members share a part of their work.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scheduling.options import Option
from scheduling.simulation.workload import Workload

CELL_MS = 100.0
"""Of the time grid."""

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Bound:
    """No schedule that has this part of all requests in time has a better mean quality."""

    attainment: float
    db: float
    """Mean over the requests that are in time."""


class OutOfReachError(ValueError):
    """Nobody can have that part of the requests in time, not even who knows the future."""


def bound(
    workload: Workload,
    tables: Sequence[tuple[Option, ...]],
    attainment: float,
    workers: int,
    factor: FloatArray | None = None,
    cell_ms: float = CELL_MS,
) -> Bound:
    """Return the best mean quality with a part `attainment` of all requests in time.

    `factor` is actual / expected cost of each request, 1 where not given; workers are as fast as
    the tables say. The part is rounded down to a whole number of requests, at least one; every
    option needs a quality. Raises OutOfReachError, and ModuleNotFoundError without scipy.
    """
    from scipy.optimize import linprog
    from scipy.sparse import block_array

    wanted = max(1, int(attainment * len(workload) + 1e-6))
    ways = _ways(workload, tables, factor)
    cells = _cells(workload, cell_ms)
    ways_of_request = _sums(ways.request, len(workload))
    answer = linprog(
        np.concatenate([-ways.db, np.zeros(len(cells.request))]),
        A_ub=block_array([[ways_of_request, None], [None, _sums(cells.number)]], format="csr"),
        b_ub=_limits(len(workload), cells.number, workers * cell_ms),
        A_eq=block_array(
            [
                [ways_of_request * ways.cost_ms, -_sums(cells.request, len(workload))],
                [np.ones((1, len(ways.db))), None],
            ],
            format="csr",
        ),
        b_eq=np.append(np.zeros(len(workload)), wanted),
        bounds=[(0, 1)] * len(ways.db) + [(0, cell_ms)] * len(cells.request),
        method="highs",
    )
    if answer.status == 2:
        raise OutOfReachError(f"nobody can have {wanted} of {len(workload)} requests in time")
    if answer.x is None:
        raise ArithmeticError(f"the bound was not found: {answer.message}")
    return Bound(wanted / len(workload), -float(answer.fun) / wanted)


@dataclass(frozen=True)
class _Ways:
    """One entry per request and way that its budget allows."""

    request: IntArray
    cost_ms: FloatArray
    db: FloatArray


def _ways(
    workload: Workload, tables: Sequence[tuple[Option, ...]], factor: FloatArray | None
) -> _Ways:
    kind = workload.kind
    number = np.array([len(table) for table in tables])
    costs, values = np.zeros((2, len(tables), number.max()))
    for row, table in enumerate(tables):
        costs[row, : len(table)] = [option.expected_ms for option in table]
        values[row, : len(table)] = [_db(option) for option in table]
    cost = costs[kind] * (1.0 if factor is None else factor[:, None])
    exists = np.arange(number.max()) < number[kind][:, None]
    possible = exists & (cost <= workload.budget_ms[:, None])
    request, _ = np.nonzero(possible)
    return _Ways(request, cost[possible], values[kind][possible])


@dataclass(frozen=True)
class _Cells:
    """One entry per request and cell that its window touches."""

    request: IntArray
    number: IntArray


def _cells(workload: Workload, cell_ms: float) -> _Cells:
    first = np.floor(workload.arrival_ms / cell_ms).astype(np.int64)
    stop = np.ceil((workload.arrival_ms + workload.budget_ms) / cell_ms).astype(np.int64)
    length = np.maximum(stop - first, 1)
    request = np.repeat(np.arange(len(workload)), length)
    within = np.arange(len(request)) - np.repeat(np.cumsum(length) - length, length)
    return _Cells(request, first[request] + within)


def _sums(row: IntArray, rows: int | None = None) -> Any:
    """Return the sparse matrix that sums entries by row."""
    from scipy.sparse import csr_array

    shape = (int(row.max()) + 1 if rows is None else rows, len(row))
    return csr_array((np.ones(len(row)), (row, np.arange(len(row)))), shape=shape)


def _limits(requests: int, cell: IntArray, capacity: float) -> FloatArray:
    return np.concatenate([np.ones(requests), np.full(int(cell.max()) + 1, capacity)])


def _db(option: Option) -> float:
    if option.db is None:
        raise ValueError(f"{option.rung} has no measured quality")
    return option.db
