"""The process that opens a foreign graph for `anysr add`, and writes what it finds as JSON lines.

It confines itself first: no file can be opened for writing, no process started and no connection
made, and its memory is bounded (on Linux). Then it reads the graph, writes it with its weights to
the descriptor that it was given, and runs it.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import psutil
from numpy.typing import NDArray

from images.sandbox import seccomp
from models.catalog import one_line_reason
from models.probing.graph_file import MOST_BYTES, parameters_of, read_graph
from models.probing.memory import resting_bytes
from models.probing.ports import ports_of
from models.probing.probe import Stated, probe
from models.probing.refusal import NotServable
from workers.runtimes.onnx import CPU_PROVIDERS, options_with

MEMORY_BYTES = 8 << 30
"""Address space beside that of the process at rest: weights several times, and one tile."""


def main(graph: str, descriptor: int) -> None:
    """Probe a graph; `Stated` comes on the input as JSON."""
    stated = Stated.model_validate_json(sys.stdin.read())
    try:
        _confine()
        data, parameters = _opened(Path(graph), descriptor)
        findings = _probe(data, parameters, stated)
    except NotServable as refusal:
        _say(error=str(refusal))
    except MemoryError:
        _say(error=f"It needs more than {MEMORY_BYTES >> 30} GiB of memory.")
    except Exception as error:  # the engine raises various errors
        _say(error=f"It cannot be run: {one_line_reason(error)}")
    else:
        _say(findings=findings)


def _confine() -> None:
    """Limit this process before it sees a foreign byte."""
    if sys.platform != "linux":
        return
    used = int(psutil.Process().memory_info().vms)
    for kind, most in ((resource.RLIMIT_AS, used + MEMORY_BYTES), (resource.RLIMIT_CORE, 0)):
        _, hard = resource.getrlimit(kind)
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (least, hard))
    seccomp.install()


def _opened(path: Path, descriptor: int) -> tuple[bytes, int]:
    """Return a graph with its weights, written to the descriptor as well, and their number."""
    try:
        model = read_graph(path)
    except OSError as error:
        raise NotServable(f"{path} cannot be read: {error.strerror}.") from None
    parameters = parameters_of(model)
    del model.metadata_props[:]
    data: bytes = model.SerializeToString()
    if len(data) > MOST_BYTES:
        raise NotServable(f"With its weights it has more than {MOST_BYTES >> 20} MiB.")
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    return data, parameters


def _probe(data: bytes, parameters: int, stated: Stated) -> dict[str, Any]:
    # The graph holds its own weights: of other files it can read none.
    options = options_with("", b"\0", threads=0, spin=False)
    try:
        session = onnxruntime.InferenceSession(data, options, providers=list(CPU_PROVIDERS))
    except Exception as error:  # the engine raises various errors
        line = " ".join(str(error).split())
        raise NotServable(f"ONNX Runtime does not load it: {line[-200:]}") from None
    ports = ports_of(session.get_inputs(), session.get_outputs(), stated.output)

    def run(values: NDArray[Any]) -> NDArray[Any]:
        made = session.run([ports.output], {ports.input: values})[0]
        if not isinstance(made, np.ndarray):
            raise NotServable(f"Its output {ports.output} is no tensor.")
        return made

    found = probe(run, ports, stated, parameters, resting_bytes(), lambda line: _say(said=line))
    return found.model_dump(mode="json")


def _say(**what: Any) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
    sys.stdout.flush()
    os._exit(0)  # nothing is to be tidied up, and a damaged heap could hang
