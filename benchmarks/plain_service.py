"""A plain service to compare with: FastAPI, two threads, ONNX Runtime, no queue.

`python -m benchmarks.plain_service PORT`: POST a picture to /upscale?scale=S; the answer is a JPEG.
For a small JPEG it makes the same picture as a worker: the same graph in float32, the same
mirrored rim, one thread per picture. It has no budgets, tiles, alpha, profiles or bounds. `anysr
bench price` compares the service with it.
"""

from __future__ import annotations

import asyncio
import io
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime
import uvicorn
from fastapi import FastAPI, Request, Response
from PIL import Image

from models.catalog import SHIPPED, read_catalog, read_verified
from models.geometry import axis_grid, output_size
from scheduling.tiling import tiling_of
from workers.runtimes.base import inputs_of
from workers.runtimes.onnx import options_with

MODEL = "anysr-s"
THREADS = 2
"""Pictures at once; equal to the number of workers in the comparison."""

entry = read_catalog(SHIPPED).get(MODEL)
tiling = tiling_of(entry)
rim = tiling.rim
weights = read_verified(SHIPPED, entry.weights)
graph = onnxruntime.InferenceSession(
    read_verified(SHIPPED, entry.widths[-1].onnx),
    options_with(entry.weights.file, weights, threads=1, spin=False),
)
pool = ThreadPoolExecutor(THREADS)
app = FastAPI()


def enlarge(data: bytes, scale: float) -> tuple[bytes, float]:
    """Return the upscaled picture as JPEG, and the ms of the network."""
    pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    shown = np.pad(pixels, ((rim, rim), (rim, rim), (0, 0)), mode="symmetric")
    image = np.ascontiguousarray(shown.transpose(2, 0, 1), np.float32)[None] / np.float32(255)
    rows, columns = (
        axis_grid(n, output_size(n, scale), input_window=(-rim, n + rim)) for n in pixels.shape[:2]
    )
    since = time.perf_counter()
    (made,) = graph.run(["upscaled"], inputs_of(entry, image, rows, columns, strength=0.0))
    network_ms = (time.perf_counter() - since) * 1e3
    larger = np.rint(np.clip(made[0], 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)
    buffer = io.BytesIO()
    Image.fromarray(larger).save(buffer, "JPEG", quality=90, subsampling=0)
    return buffer.getvalue(), network_ms


@app.post("/upscale")
async def upscale(request: Request, scale: float) -> Response:
    """Upscale the picture in the body."""
    loop = asyncio.get_running_loop()
    picture, network_ms = await loop.run_in_executor(pool, enlarge, await request.body(), scale)
    headers = {"Server-Timing": f"network;dur={network_ms:.2f}"}
    return Response(picture, media_type="image/jpeg", headers=headers)


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), log_level="warning", access_log=False)
