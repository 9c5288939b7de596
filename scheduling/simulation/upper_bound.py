"""Upper bound on the quality of any schedule: an offline relaxation, by linear programming.

Every schedule in which one worker makes each picture, alone, is a feasible point of this program
with the same value, so the program's optimum bounds all of them:

- `x[j, k]` is 1 if request j is made with option k *and in time*, else 0. Pictures that are late
  or never made are all 0: they count for nothing, and their work is free of charge. A request is
  made at most once, `sum_k x[j, k] <= 1`; the sum of all x is the number in time.
- `y[j, t]` is the worker time that the run of j takes in cell t of a time grid. A run in time lies
  between arrival and deadline, so only cells that touch this window have a `y`. One worker runs
  it, so `y[j, t] <= cell`, and the sum is the option's actual cost, known in advance:
  `sum_t y[j, t] = sum_k cost[j, k] x[j, k]`. An option longer than the budget has x = 0.
- All workers together give each cell `sum_j y[j, t] <= workers * cell`.

The program also allows points that are no schedule: fractions of pictures by fractions of options,
paused and moved between workers at will, with every arrival known from the start, in windows
widened to whole cells. This can only raise the optimum: a coarser grid gives a looser bound, never
a wrong one. The bound does not hold for strategies that run pictures in batches, whose members
share a part of their work.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scheduling.options import Option, Options
from scheduling.simulation.workload import Workload

CELL_MS = 100.0
"""Length of a cell of the time grid."""

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Bound:
    """Best mean quality of any schedule with this part of all requests in time."""

    attainment: float
    """Part of all requests in time, 0 to 1."""
    db: float
    """Mean over the requests in time."""


class OutOfReachError(ValueError):
    """No schedule has that part of the requests in time, even with the future known."""


def bound(
    workload: Workload,
    tables: Sequence[Options],
    attainment: float,
    workers: int,
    factor: FloatArray | None = None,
    cell_ms: float = CELL_MS,
) -> Bound:
    """Return the best mean quality with the part `attainment` of all requests in time.

    `factor` is (requests,) actual over expected cost, 1 where not given; workers run at the speed
    of the tables. The part is rounded down to a whole number of requests, at least one. Every
    option needs a quality. Raises OutOfReachError, and ModuleNotFoundError without scipy.
    """
    from scipy.optimize import linprog
    from scipy.sparse import block_array

    wanted = max(1, int(attainment * len(workload) + 1e-6))
    choices = _choices(workload, tables, factor)
    cells = _cells(workload, cell_ms)
    choices_of_request = _sums(choices.request, len(workload))
    answer = linprog(
        np.concatenate([-choices.db, np.zeros(len(cells.request))]),
        A_ub=block_array([[choices_of_request, None], [None, _sums(cells.number)]], format="csr"),
        b_ub=_limits(len(workload), cells.number, workers * cell_ms),
        A_eq=block_array(
            [
                [choices_of_request * choices.cost_ms, -_sums(cells.request, len(workload))],
                [np.ones((1, len(choices.db))), None],
            ],
            format="csr",
        ),
        b_eq=np.append(np.zeros(len(workload)), wanted),
        bounds=[(0, 1)] * len(choices.db) + [(0, cell_ms)] * len(cells.request),
        method="highs",
    )
    if answer.status == 2:
        raise OutOfReachError(f"no schedule has {wanted} of {len(workload)} requests in time")
    if answer.x is None:
        raise ArithmeticError(f"the linear program was not solved: {answer.message}")
    return Bound(wanted / len(workload), -float(answer.fun) / wanted)


@dataclass(frozen=True)
class _Choices:
    """One entry per request and option that its budget allows; all arrays have one shape."""

    request: IntArray
    cost_ms: FloatArray
    db: FloatArray


def _choices(workload: Workload, tables: Sequence[Options], factor: FloatArray | None) -> _Choices:
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
    return _Choices(request, cost[possible], values[kind][possible])


@dataclass(frozen=True)
class _Cells:
    """One entry per request and cell that its window touches; both arrays have one shape."""

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
