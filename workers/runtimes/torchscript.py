"""TorchScript: one file for all widths; the number of inner channels is an argument."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from models.catalog import CatalogError, ModelEntry, read_verified
from models.geometry import AxisGrid
from workers.runtimes.base import RuntimeMissing, condition_of

if TYPE_CHECKING:
    import torch

FloatArray = NDArray[np.float32]


class TorchScriptSession:
    """A model of the catalog in TorchScript; implements `workers.runtimes.base.Session`.

    torch is imported here and nowhere else on the serving path. `threads` of 0 keeps torch's
    default. Raises RuntimeMissing without torch, and CatalogError for a model without a
    TorchScript file.
    """

    def __init__(
        self, folder: Path, entry: ModelEntry, device: str = "cpu", threads: int = 0
    ) -> None:
        if entry.torchscript is None:
            raise CatalogError(f"{entry.name} has no TorchScript file; use the onnx runtime")
        try:
            import torch
        except ImportError as error:
            raise RuntimeMissing(
                "The torchscript runtime needs torch, which is not installed; "
                "install it or set ANYSR_RUNTIME=onnx."
            ) from error
        if threads:
            torch.set_num_threads(threads)
        self._torch = torch
        self._entry = entry
        self._device = torch.device(device)
        script = io.BytesIO(read_verified(folder, entry.torchscript))
        self._module = torch.jit.load(script, map_location=self._device)  # type: ignore[no-untyped-call]

    def at(self, width: float) -> TorchScriptNetwork:
        """Return the model at a width. Raises KeyError for a width that it does not have."""
        return TorchScriptNetwork(self, self._entry.at(width).channels)

    def run(
        self,
        channels: int,
        image: FloatArray,
        rows: AxisGrid,
        columns: AxisGrid,
        strength: float,
    ) -> FloatArray:
        """Upscale as `Network.run` does, with so many inner channels."""
        (condition,) = condition_of(self._entry, rows, columns, strength).values()
        arrays = (image, condition, rows.offset, rows.index, columns.offset, columns.index)
        with self._torch.inference_mode():
            tensors = [self._tensor(array) for array in arrays]
            output: torch.Tensor = self._module(*tensors, channels)
        result: FloatArray = output.cpu().numpy()
        return result

    def _tensor(self, array: NDArray[np.float32] | NDArray[np.int64]) -> torch.Tensor:
        return self._torch.from_numpy(np.ascontiguousarray(array)).to(self._device)


class TorchScriptNetwork:
    """One width of a `TorchScriptSession`; implements `workers.runtimes.base.Network`."""

    def __init__(self, session: TorchScriptSession, channels: int) -> None:
        self._session = session
        self._channels = channels

    def run(
        self, image: FloatArray, rows: AxisGrid, columns: AxisGrid, strength: float = 0.0
    ) -> FloatArray:
        """Upscale image [B, 3, H, W] to [B, 3, Y, X], not clamped."""
        return self._session.run(self._channels, image, rows, columns, strength)
