"""DeFiAN: the names of the public checkpoints' tensors, and ours.

The public files hold {epoch, state_dict}. A converted network is built with `released_quirks`,
because its checkpoint was trained so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from models.layouts.base import ConversionError, PublicSpec, Tensors, shape_of
from models.spec import NetworkSpec

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


def _pattern(name: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\\{(\w)\\\}", r"(?P<\1>\\d+)", re.escape(name)))


PATTERNS = tuple((_pattern(ours), public) for public, ours in NAMES)


class DeFiANLayout:
    """See the module; a `Layout`."""

    def spec_of(
        self, public: Tensors, public_spec: PublicSpec | None, as_published: bool
    ) -> NetworkSpec | None:
        if "body.0.hessian3.0.grad_xx.weight" not in public or "input.weight" not in public:
            return None
        channels = shape_of(public, "input.weight", 4)[0]
        args = {
            "scale": _scale(public, channels),
            "channels": channels,
            "modules": _count(public, r"body\.(\d+)\."),
            "blocks": _count(public, r"body\.0\.body_block\.(\d+)\."),
            "released_quirks": True,
        }
        return NetworkSpec("defian", args)

    def writes(self, spec: NetworkSpec) -> bool:
        return spec.name == "defian" and bool(spec.args.get("released_quirks"))

    def name_of(self, spec: NetworkSpec, ours: str) -> str:
        module, _, kind = ours.rpartition(".")
        matches = ((pattern.fullmatch(module), public) for pattern, public in PATTERNS)
        return next(f"{p.format(**m.groupdict())}.{kind}" for m, p in matches if m)

    def shaped(self, spec: NetworkSpec, ours: str, tensor: Tensor) -> Tensor:
        return tensor

    def unused(self, spec: NetworkSpec) -> Tensors:
        return {}

    def implied(self, spec: NetworkSpec) -> Tensors:
        return {}

    def file_of(self, spec: NetworkSpec, public: Tensors, path: str) -> Mapping[str, Any]:
        return {"epoch": 0, "state_dict": dict(public)}


def _scale(public: Tensors, channels: int) -> int:
    """Return the number of the upscaler's steps."""
    shuffled = shape_of(public, "upscale.0.0.weight", 4)[0]
    known = {4 * channels: 2, 9 * channels: 3}
    if "upscale.0.2.weight" in public:
        return 4
    if shuffled not in known:
        raise ConversionError(
            f"upscale.0.0 makes {shuffled} channels of {channels}: no known scale"
        )
    return known[shuffled]


def _count(public: Tensors, pattern: str) -> int:
    found = {match.group(1) for name in public if (match := re.match(pattern, name))}
    return len(found)
