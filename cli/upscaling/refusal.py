"""The error that ends `anysr upscale` before anything runs."""

from __future__ import annotations

from collections.abc import Sequence

from cli.terminal import shown


class Refusal(ValueError):
    """The command would destroy a file, or cannot be meant so; `reasons` are one sentence each."""

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__("\n".join(map(shown, reasons)))
        self.reasons = reasons
