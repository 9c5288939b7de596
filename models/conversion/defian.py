"""DeFiAN: the names of the public checkpoints' tensors, and ours.

Nothing is computed: each tensor keeps its values under another name, so both ways are loss-free.
The public files hold {epoch, state_dict}; what is converted here is the `state_dict`. A converted
network must be built with `released_quirks` (see `arguments`), as its checkpoint was trained so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

NAMES = (
    ("input", "entry"),
    ("body.{n}.body_block.{m}.block.0", "stages.{n}.blocks.{m}.conv1"),
    ("body.{n}.body_block.{m}.block.2", "stages.{n}.blocks.{m}.conv2"),
    ("body.{n}.body_block.{m}.calayer.0", "stages.{n}.blocks.{m}.gate.fc1"),
    ("body.{n}.body_block.{m}.calayer.2", "stages.{n}.blocks.{m}.gate.fc2"),
    *(
        (f"body.{{n}}.hessian{kernel}.0.grad_{axes}", f"stages.{{n}}.hessian.{place}.{derivative}")
        for place, kernel in enumerate((3, 5, 7))
        for axes, derivative in (("xx", "horizontal"), ("yy", "vertical"), ("xy", "mixed"))
    ),
    *(
        (f"body.{{n}}.coder.0.{half}.{2 * layer}", f"stages.{{n}}.coder.{half}.{layer}")
        for half in ("encoder", "decoder")
        for layer in range(3)
    ),
    ("body.{n}.coder.0.gate", "stages.{n}.coder.gate"),
    *(
        (f"body.{{n}}.dac.0.{theirs}.{place}", f"stages.{{n}}.alignment.{ours}.{layer}")
        for theirs, ours in (("mean", "mean"), ("std", "deviation"))
        for place, layer in ((0, "fc1"), (2, "fc2"))
    ),
    ("tail", "tail"),
    ("upscale.0.0", "upscaler.0"),
    ("upscale.0.2", "upscaler.1"),
    ("output", "exit"),
)
"""(public, ours) names of the modules that hold tensors; {n} and {m} stand for numbers."""


def from_public(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a public state dict under our names; ValueError for a name that is none of it."""
    return _renamed(state, NAMES)


def to_public(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return one of our state dicts under the public names; ValueError as `from_public`."""
    return _renamed(state, ((ours, theirs) for theirs, ours in NAMES))


def arguments(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the args with which `DeFiAN` fits a public state dict.

    Raises ValueError when it lacks what tells them.
    """
    try:
        channels = state["input.weight"].shape[0]
        times = state["upscale.0.0.weight"].shape[0] // channels
    except KeyError as error:
        raise ValueError(f"not a DeFiAN checkpoint: no {error.args[0]!r}") from error
    return {
        "scale": 4 if "upscale.0.2.weight" in state else {4: 2, 9: 3}[times],
        "channels": channels,
        "modules": _count(state, r"body\.(\d+)\."),
        "blocks": _count(state, r"body\.0\.body_block\.(\d+)\."),
        "released_quirks": True,
    }


def _count(state: Mapping[str, Tensor], pattern: str) -> int:
    found = {match.group(1) for name in state if (match := re.match(pattern, name))}
    return len(found)


def _renamed(state: Mapping[str, Tensor], names: Iterable[tuple[str, str]]) -> dict[str, Tensor]:
    patterns = [(_pattern(old), new) for old, new in names]
    renamed = {}
    for name, tensor in state.items():
        module, _, kind = name.rpartition(".")
        matches = ((pattern.fullmatch(module), new) for pattern, new in patterns)
        found = next((new.format(**match.groupdict()) for match, new in matches if match), None)
        if found is None:
            raise ValueError(f"no tensor of DeFiAN is named {name!r}")
        renamed[f"{found}.{kind}"] = tensor
    return renamed


def _pattern(name: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\\{(\w)\\\}", r"(?P<\1>\\d+)", re.escape(name)))
