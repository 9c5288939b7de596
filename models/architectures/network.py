"""The interface of every network, and of the parts of composed ones."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, cast

import torch
from torch import Tensor, nn

from models.geometry import AxisGrid


class Grid(NamedTuple):
    """Where the output pixels lie, for rows and columns apart (`models.geometry.AxisGrid`)."""

    condition: Tensor
    """1/scale for rows and columns [2]; for a network that takes one, the strength as well [3]."""
    row_offset: Tensor
    """[H, row slots]."""
    row_index: Tensor
    """int64 [Y]."""
    column_offset: Tensor
    """[W, column slots]."""
    column_index: Tensor
    """int64 [X]."""


class Network(nn.Module, ABC):
    """Image in, larger image out, at any of its widths.

    forward: image [B, 3, H, W] in [0, 1], a grid (see `grid_for`), and a member of `widths`
    -> [B, 3, Y, X], not clamped. Rows and columns may each have their own scale.
    """

    takes_strength = False
    """Whether the grid's condition has a third number: how damaged the image is, from 0 to 1
    (`models.strength`)."""
    max_scale = 8.0
    """The largest scale that is served; for a network of one integer scale, that scale."""
    tile_output_pixels = cast("int | None", None)  # TorchScript cannot read such an annotation
    """Largest tile in output pixels, for a network that holds hundreds of floats for each; None
    where the worker's own bound suffices."""

    def __init__(self, widths: Sequence[int]) -> None:
        """`widths` are in channels and rise to the full one, which is the last and may be the
        only one. Raises ValueError for others."""
        super().__init__()
        self.widths = _rising(widths)
        self.channels = self.widths[-1]

    @property
    @abstractmethod
    def halo(self) -> int | None:
        """Input pixels around a tile that reach its output; None for a network that is not exactly
        local, where every input pixel reaches every output pixel."""

    @abstractmethod
    def forward(self, image: Tensor, grid: Grid, channels: int) -> Tensor:
        """Return the larger image; see the class."""


class TrunkedNetwork(Network):
    """A network that is a trunk at the input's resolution, then a head that makes the output.

    The trunk has most of the arithmetic; training runs it in half precision or compiled.
    """

    if TYPE_CHECKING:  # TorchScript must not see the annotation: it compiles the submodule itself
        head: Head

    @property
    def features(self) -> int:
        """The number of features that the head reads."""
        return self.channels

    @abstractmethod
    def trunk(self, image: Tensor, condition: Tensor, channels: int) -> Tensor:
        """Return the features [B, C, H, W] that the head reads; `condition` is the grid's."""

    def forward(self, image: Tensor, grid: Grid, channels: int) -> Tensor:
        features = self.trunk(image, grid.condition, channels)
        output: Tensor = self.head(features, image, grid)
        return output


class Encoder(nn.Module, ABC):
    """The part of a composed network that works at the input's resolution.

    forward: image [B, 3, H, W] in [0, 1], inverse_scale [2] (1/scale_h, 1/scale_w), and a member
    of `widths` -> features [B, features, H, W]. `halo` as for networks.
    """

    def __init__(self, features: int, widths: Sequence[int], halo: int | None) -> None:
        """`widths` as for networks; ValueError for others."""
        super().__init__()
        self.features = features
        self.widths = _rising(widths)
        self.channels = self.widths[-1]
        self.halo = halo

    @abstractmethod
    def forward(self, image: Tensor, inverse_scale: Tensor, channels: int) -> Tensor:
        """Return the features; see the class."""


class Head(nn.Module, ABC):
    """The part of a composed network that turns features into output pixels, at any real scale.

    forward: features [B, features, H, W], image [B, 3, H, W] in [0, 1], and a grid
    -> [B, 3, Y, X], not clamped. `halo` and `tile_output_pixels` as for networks.
    """

    tile_output_pixels = cast("int | None", None)
    output_halo = 0
    """Neighbouring output pixels, on each side, that one depends on; 0 for none."""

    def __init__(self, halo: int | None) -> None:
        super().__init__()
        self.halo = halo

    @abstractmethod
    def forward(self, features: Tensor, image: Tensor, grid: Grid) -> Tensor:
        """Return the larger image; see the class."""


def grid_tensors(
    rows: AxisGrid,
    columns: AxisGrid,
    device: torch.device | str = "cpu",
    strength: float | None = None,
) -> Grid:
    """Return the grid of two axes on a device, with `strength` in its condition if given."""
    condition = [rows.inverse_scale, columns.inverse_scale]
    if strength is not None:
        condition.append(strength)
    inverse = torch.tensor(condition, dtype=torch.float32)
    arrays = (rows.offset, rows.index, columns.offset, columns.index)
    offset_h, index_h, offset_w, index_w = (torch.from_numpy(a).to(device) for a in arrays)
    return Grid(inverse.to(device), offset_h, index_h, offset_w, index_w)


def grid_for(
    network: Network,
    rows: AxisGrid,
    columns: AxisGrid,
    device: torch.device | str = "cpu",
    strength: float = 0.0,
) -> Grid:
    """Return the grid for a network: with `strength` where it takes one."""
    return grid_tensors(rows, columns, device, strength if network.takes_strength else None)


def output_halo_of(network: Network) -> int:
    """Return the neighbouring output pixels, on each side, that one depends on; 0 for none."""
    return network.head.output_halo if isinstance(network, TrunkedNetwork) else 0


def positions(offset: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """Return the nearest input pixel (int64 [outputs]) of each output pixel of one axis, and the
    offset from its centre in input pixels ([outputs], in [-0.5, 0.5]), from `AxisGrid`'s offset
    [n, slots] and index [outputs]."""
    nearest = torch.div(index, offset.shape[1], rounding_mode="floor")
    return nearest, offset.reshape(-1).index_select(0, index)


def _rising(widths: Sequence[int]) -> tuple[int, ...]:
    if not widths or sorted(set(widths)) != list(widths) or widths[0] < 1:
        raise ValueError(f"widths must rise from at least 1, got {list(widths)}")
    return tuple(widths)
