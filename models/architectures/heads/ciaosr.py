"""CiaoSR's head: a continuous implicit attention-in-attention network (Cao et al., CVPR 2023).

An output pixel attends to its four nearest input pixels (Eq. 4-6). The query is the 3x3 patch of
features at the nearest one; keys and values are the patches at the four, each multiplied by the
output of an MLP for the patch, its offset and the scale; the values also hold non-local features
(Eq. 7). A last MLP maps the mixture to colours, and bilinear interpolation is added.

Two switches are the paper's ablations (Table 4): `non_local` leaves the non-local features out,
and without `attention` the MLP of the keys gives the weights of the mixture itself.

The first layers of the MLPs of keys and values are linear in the patch, so that part of them is
computed once per input pixel, as a convolution, and only its sum with the rest per output pixel.
The output is computed a few rows at a time, so that memory is bounded at any size.

Untrained, the MLPs are linear (`looks_linear`), and the outputs of those that multiply keys and
values are about 1, so the head starts from unchanged features.

`released_quirks` reproduces three conventions of the released code, for converted weights: the
neighbours lie (1 - cell) / (H - 1) away in [-1, 1] coordinates, which is not quite half a pixel
and depends on the picture's size; their coordinates are shifted by 1e-6; and the query, whose
coordinates are not, is the even pixel where an output pixel lies halfway between two.
"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.architectures.chunks import in_chunks
from models.architectures.heads.cross_scale import CrossScaleAttention
from models.architectures.heads.neighbours import Neighbours, bilinear, four, gather, neighbours
from models.architectures.looks_linear import look_linear
from models.architectures.network import Grid, Head, positions

COLOURS = 3
PATCH = 3
PLACE = 4
"""Inputs of an MLP per neighbour beside its features: the offset and the scale."""
QUERIES = 4096
"""Output pixels that are computed at once."""


class Implicit(nn.Module):
    """An MLP with ReLU between its linear layers: [..., inputs] -> [..., outputs]."""

    def __init__(self, inputs: int, outputs: int, hidden: int, depth: int = 4) -> None:
        super().__init__()
        sizes = [inputs, *[hidden] * depth]
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(sizes):
            layers += [nn.Linear(before, after), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(hidden, outputs))
        look_linear(self.layers)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.layers(x)
        return output

    def first(self) -> tuple[Tensor, Tensor]:
        """Return weight and bias of the first layer."""
        layer = self.layers[0]
        assert isinstance(layer, nn.Linear)  # for the type checker: built so
        return layer.weight, layer.bias

    @torch.no_grad()
    def start_at(self, level: float) -> None:
        """Initialise the output to about `level`."""
        last = self.layers[-1]
        assert isinstance(last, nn.Linear)  # for the type checker: built so
        last.bias.fill_(level)

    def rest(self, first: Tensor, place: Tensor) -> Tensor:
        """Return the output for `first`, the first layer's part for the features, and `place`, the
        last PLACE inputs."""
        weight, _ = self.first()
        output: Tensor = self.layers[1:](first + F.linear(place, weight[:, -PLACE:]))
        return output


class CiaoSR(Head):
    """The head, for features of any encoder; see the module."""

    def __init__(
        self,
        features: int = 64,
        hidden: int = 256,
        non_local: bool = True,
        attention: bool = True,
        window: int | None = 48,
        released_quirks: bool = False,
    ) -> None:
        """`window` bounds the non-local branch (see `CrossScaleAttention`)."""
        # Without it the head is exactly local: it reads a neighbour's 3x3 features.
        super().__init__(halo=None if non_local or released_quirks else 2)
        key = PATCH * PATCH * features
        value = key + features if non_local else key
        self.attention = attention
        self.released_quirks = released_quirks
        self.cs_attn = CrossScaleAttention(features, window) if non_local else None
        self.imnet_k = Implicit(key + PLACE, key if attention else 1, hidden)
        self.imnet_v = Implicit(value + PLACE, value, hidden)
        self.imnet_q = Implicit(value, COLOURS, hidden)
        self.imnet_v.start_at(1.0)
        if attention:
            self.imnet_k.start_at(1.0)

    def forward(self, features: Tensor, image: Tensor, grid: Grid) -> Tensor:
        rows = neighbours(grid.row_offset, grid.row_index)
        columns = neighbours(grid.column_offset, grid.column_index)
        skip = bilinear(image, rows, columns)
        if self.released_quirks:
            rows = released_neighbours(grid.row_offset, grid.row_index, grid.condition[0])
            columns = released_neighbours(grid.column_offset, grid.column_index, grid.condition[1])
        row = nearest(grid.row_offset, grid.row_index, self.released_quirks)
        column = nearest(grid.column_offset, grid.column_index, self.released_quirks)
        edged = F.pad(features, (1, 1, 1, 1)).permute(0, 2, 3, 1)
        non_local = None if self.cs_attn is None else self.cs_attn(features)
        first = self._first_layers(features, non_local).permute(0, 2, 3, 1)
        further = None if non_local is None else non_local.permute(0, 2, 3, 1)
        cell = 2 * grid.condition

        def some_rows(queried: Tensor, index: Tensor, offset: Tensor) -> Tensor:
            down = Neighbours(index.T, offset.T)
            # Copied, because an exported loop cannot read one outer tensor by two names.
            across = Neighbours(columns.index.clone(), columns.offset.clone())
            keys = [_patches(edged, r, c) for r in down.index for c in across.index]
            key = value = torch.stack(keys, 3)
            if further is not None:
                value = torch.cat((key, torch.stack(four(further, down, across), 3)), -1)
            made = self._colours(
                _patches(edged, queried, column)[..., None, :],
                key,
                value,
                torch.stack(four(first, down, across), 3),
                _places(down, across, cell),
            )
            return made.transpose(0, 1)

        at_once = QUERIES // (len(features) * column.shape[0])
        pixels = in_chunks(some_rows, (row, rows.index.T, rows.offset.T), at_once)
        return pixels.permute(1, 3, 0, 2) + skip

    def _first_layers(self, features: Tensor, non_local: Tensor | None) -> Tensor:
        """Return the first layers' parts for the features, [B, 2 hidden, H, W]: keys before
        values."""
        (key, key_bias), (value, value_bias) = self.imnet_k.first(), self.imnet_v.first()
        unfolded = PATCH * PATCH * features.shape[1]
        kernel = torch.cat((key[:, :unfolded], value[:, :unfolded]))
        kernel = kernel.reshape(-1, features.shape[1], PATCH, PATCH)
        first = F.conv2d(features, kernel, torch.cat((key_bias, value_bias)), padding=1)
        if non_local is None:
            return first
        further = F.conv2d(non_local, value[:, unfolded:-PLACE, None, None])
        return torch.cat((first[:, : len(key)], first[:, len(key) :] + further), 1)

    def _colours(
        self, query: Tensor, key: Tensor, value: Tensor, first: Tensor, place: Tensor
    ) -> Tensor:
        """Return colours [B, Y, X, 3]: queries [B, Y, X, 1, 9 C] attend to the keys and values of
        the four neighbours, [B, Y, X, 4, ...]; `first` and `place` are the MLPs' inputs."""
        hidden = first.shape[-1] // 2
        likeness = self.imnet_k.rest(first[..., :hidden], place)
        if self.attention:
            likeness = (query * key * likeness).sum(-1, keepdim=True)
        share = torch.softmax(likeness, 3)
        mixture = (share * value * self.imnet_v.rest(first[..., hidden:], place)).sum(3)
        colours: Tensor = self.imnet_q(mixture)
        return colours


def nearest(offset: Tensor, index: Tensor, even: bool) -> Tensor:
    """Return the nearest input pixel of each output pixel of one axis; halfway between two, the
    second, or with `even` the even one."""
    found, from_found = positions(offset, index)
    if not even:
        return found
    return found - torch.remainder(found, 2) * (from_found == -0.5).to(found.dtype)


def released_neighbours(offset: Tensor, index: Tensor, inverse_scale: Tensor) -> Neighbours:
    """Return the neighbours of one axis as the released code finds them; see the module."""
    length = offset.shape[0]
    centre, from_centre = positions(offset, index)
    cell = 2 * inverse_scale / length
    reach = (1 - cell) / max(length - 1, 1) * length / 2
    both = torch.stack((from_centre - reach, from_centre + reach)) + 1e-6 * length / 2
    found = (centre + torch.floor(both + 0.5).to(centre.dtype)).clamp(0, length - 1)
    return Neighbours(found, from_centre + (centre - found).to(from_centre.dtype))


def _places(rows: Neighbours, columns: Neighbours, cell: Tensor) -> Tensor:
    """Return (offset down, offset across, cell) of the four neighbours, [Y, X, 4, 4], in half
    pixels as in the papers."""
    shape = rows.offset.shape[1], columns.offset.shape[1], 2, 2
    down = (2 * rows.offset.T)[:, None, :, None].expand(shape)
    across = (2 * columns.offset.T)[None, :, None, :].expand(shape)
    ways = torch.stack((down, across), -1).flatten(2, 3)
    return torch.cat((ways, cell.expand(ways.shape)), -1)


def _patches(edged: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Look up the 3x3 patches around rows [Y] x columns [X] of a map [B, H + 2, W + 2, C] that
    has a border of zeros: [B, Y, X, 9 C], a channel's places together as `F.unfold` has them."""
    around = torch.arange(PATCH, device=rows.device)
    high, wide = ((place[:, None] + around).flatten() for place in (rows, columns))
    found = gather(edged, high, wide)
    found = found.reshape(len(edged), len(rows), PATCH, len(columns), PATCH, edged.shape[3])
    return found.permute(0, 1, 3, 5, 2, 4).flatten(3)
