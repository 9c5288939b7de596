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
from workers.runtimes.out_of_memory import reported_as_out_of_memory

if TYPE_CHECKING:
    import torch

FloatArray = NDArray[np.float32]


class TorchScriptSession:
    """A model of the catalog in TorchScript; implements `Session` and `Releasing` of
    `workers.runtimes.base`.

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
        """Upscale as `Network.run` does, with so many inner channels. Raises OutOfMemory."""
        (condition,) = condition_of(self._entry, rows, columns, strength).values()
        arrays = (image, condition, rows.offset, rows.index, columns.offset, columns.index)
        with self._torch.inference_mode(), reported_as_out_of_memory():
            tensors = [self._tensor(array) for array in arrays]
            output: torch.Tensor = self._module(*tensors, channels)
        result: FloatArray = output.cpu().numpy()
        return result

    def release(self) -> None:
        """Free the GPU memory that the runs so far have left; on the CPU torch keeps none."""
        if self._device.type == "cuda":
            self._torch.cuda.empty_cache()

    def free_bytes(self) -> int | None:
        """Return the GPU memory that a run may take, with what torch keeps of earlier runs; None on
        the CPU."""
        if self._device.type != "cuda":
            return None
        cuda = self._torch.cuda
        free, _ = cuda.mem_get_info(self._device)
        kept = cuda.memory_reserved(self._device) - cuda.memory_allocated(self._device)
        return int(free + kept)

    def _tensor(self, array: NDArray[np.float32] | NDArray[np.int64]) -> torch.Tensor:
        return self._torch.from_numpy(np.ascontiguousarray(array)).to(self._device)


class TorchScriptNetwork:
    """One width of a `TorchScriptSession`; implements `Network`, `Releasing` and `OnDevice` of
    `workers.runtimes.base`."""

    def __init__(self, session: TorchScriptSession, channels: int) -> None:
        self._session = session
        self._channels = channels

    def run(
        self, image: FloatArray, rows: AxisGrid, columns: AxisGrid, strength: float = 0.0
    ) -> FloatArray:
        """Upscale image [B, 3, H, W] to [B, 3, Y, X], not clamped. Raises OutOfMemory."""
        return self._session.run(self._channels, image, rows, columns, strength)

    def release(self) -> None:
        """Free the GPU memory that the runs so far have left."""
        self._session.release()

    def free_bytes(self) -> int | None:
        """Return the GPU memory that a run may take; None on the CPU."""
        return self._session.free_bytes()
