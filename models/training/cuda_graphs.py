"""Work of fixed shapes on a GPU, captured once in a CUDA graph and replayed with one launch.

A training step is some thousand kernels of microseconds, which the host launches more slowly than
the device runs them. Captured work must follow the rules of capture: fixed shapes, all changing
values (numbers too) in tensors of fixed addresses, no waiting of the host, and gradients that begin
as None. On other devices work runs directly.
"""

from __future__ import annotations

import gc
import warnings
from collections import Counter
from collections.abc import Callable, Hashable

import torch
from torch import Tensor

Work = Callable[[], Tensor]

WARM_UPS = 3
"""Number of warm-ups before a capture: during them libraries choose kernels, compilers compile and
optimisers create their state, none of which is allowed during capture."""


class Replays:
    """Runs work by its key: a few times directly, then as a captured CUDA graph.

    Warm-ups are real: each call does the work once and returns its result. Work of the same key
    must read and write the same tensors each time. If a capture fails, `failure` has the reason, a
    warning is raised, and all further work runs without graphs.
    """

    def __init__(self, device: torch.device) -> None:
        self.failure: str | None = None
        self._cuda = device.type == "cuda"
        # One stream for warm-ups and captures, because libraries keep their handles per stream; one
        # pool, because no two graphs run at once.
        self._stream = torch.cuda.Stream(device) if self._cuda else None  # type: ignore[no-untyped-call]
        self._pool = torch.cuda.graph_pool_handle() if self._cuda else None
        self._warm_ups: Counter[Hashable] = Counter()
        self._graphs: dict[Hashable, Work] = {}

    @property
    def captured(self) -> int:
        """The number of captured graphs."""
        return len(self._graphs)

    def run(self, key: Hashable, work: Work) -> Tensor:
        """Run the work once and return its result, which later work does not overwrite."""
        if not self._cuda or self.failure is not None:
            return work()
        if key not in self._graphs:
            if self._warm_ups[key] < WARM_UPS:
                self._warm_ups[key] += 1
                return self._warm_up(work)
            try:
                self._graphs[key] = self._capture(work)
            except RuntimeError as error:
                self._give_up(error)
                return work()
        return self._graphs[key]().clone()

    def _warm_up(self, work: Work) -> Tensor:
        """Run the work on the stream that will capture it."""
        assert self._stream is not None
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            result = work()
        torch.cuda.current_stream().wait_stream(self._stream)
        return result

    def _capture(self, work: Work) -> Work:
        """Capture the work, without running it, and return a function that replays it."""
        graph = torch.cuda.CUDAGraph()
        gc.collect()  # objects that Python frees during capture may be CUDA's
        with torch.cuda.graph(
            graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"
        ):
            result = work()

        def replay() -> Tensor:
            graph.replay()
            return result

        return replay

    def _give_up(self, error: RuntimeError) -> None:
        self.failure = str(error).splitlines()[0] if str(error) else type(error).__name__
        self._graphs.clear()
        warnings.warn(
            f"the step could not be captured in a CUDA graph and goes on without: {self.failure}",
            RuntimeWarning,
            stacklevel=3,
        )
