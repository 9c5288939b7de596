"""The fuzzer of one target: `python -m tests.fuzz.fuzz_one NAME [options of libFuzzer]`.

Runs until its options end it; a finding ends it with another status than 0. Only Python code is
instrumented: inputs that reach new code of decoders in C are not recognised as new.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable

import atheris

from tests.fuzz.target import Target

INSTRUMENTED = (
    *("images", "jobs", "models.probing", "PIL", "python_multipart", "scheduling", "service"),
    "starlette",
)
MOST_SECONDS = 2.0
"""CPU time that one input may take; the longest seeds take a hundredth of it."""
HANG_S = 30
"""Time after which libFuzzer itself ends an input, even inside C code."""


def main() -> None:
    """Fuzz the named target."""
    program, name, *options = sys.argv
    logging.disable()  # parsers log every refusal
    with atheris.instrument_imports(include=list(INSTRUMENTED)):
        from tests.fuzz.targets import target

        chosen = target(name)

    def mutated(data: bytes, most: int, seed: int) -> bytes:
        changed: bytes = atheris.Mutate(data, most)
        return chosen.repaired(changed) if seed % 4 else changed

    own = [f"-timeout={HANG_S}", f"-max_len={chosen.longest}"]
    atheris.Setup([program, *own, *options], _timed(chosen), custom_mutator=mutated)
    atheris.Fuzz()


def _timed(target: Target) -> Callable[[bytes], None]:
    """Return the target's function; it raises TimeoutError for an input of too much CPU time."""

    def run(data: bytes) -> None:
        since = time.process_time()
        target.run(data)
        spent = time.process_time() - since
        if spent > MOST_SECONDS:
            raise TimeoutError(f"{spent:.2f} s of CPU time for {len(data)} bytes")

    return run


if __name__ == "__main__":
    main()
