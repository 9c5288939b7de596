"""Settings of a worker, each an environment variable ANYSR_<NAME>."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict

from images.limits import JOB_BYTES, Limits
from jobs.settings import secrets_folder
from models.catalog import Precision
from scheduling.tiling import DEFAULT_TILE_OUTPUT_PIXELS, DEFAULT_TILE_PIXELS
from telemetry.logs import LogSettings

MEGAPIXEL = 1_000_000


class Runtime(StrEnum):
    """The engines that run networks."""

    AUTO = "auto"
    ONNX = "onnx"
    OPENVINO = "openvino"
    TORCHSCRIPT = "torchscript"


class Device(StrEnum):
    """Where networks run."""

    CPU = "cpu"
    CUDA = "cuda"


class WorkerSettings(LogSettings):
    """Limits are inclusive upper bounds; times have their unit in their name."""

    model_config = SettingsConfigDict(
        env_prefix="ANYSR_", frozen=True, populate_by_name=True, secrets_dir=secrets_folder()
    )

    models_folder: Path | None = Field(
        None,
        validation_alias="ANYSR_MODELS",
        description="Folder of models with its catalog; the shipped one when not set.",
    )
    warm: tuple[str, ...] = Field(
        (),
        description="Models (a JSON list) to load at the start, of those that are otherwise loaded "
        "on their first request.",
    )
    runtime: Runtime = Field(
        Runtime.AUTO,
        description="Engine that runs the networks: onnx, openvino or torchscript; auto: for each "
        "model the fastest correct one, measured at the first start.",
    )
    precision: Literal["auto", "float32", "bfloat16", "int8"] = Field(
        "auto",
        description="Precision of the trunks of networks, where supported: float32, bfloat16 or "
        "int8; auto: the fastest on this machine. Heads compute in float32.",
    )
    device: Device = Field(Device.CPU, description="Where the networks run: cpu or cuda.")
    worker_threads: int = Field(
        0, ge=0, description="Threads of one worker's network; 0: all cores, shared evenly."
    )
    spin: bool = Field(
        False,
        description="Whether idle threads of the network spin: some percent faster, but an idle "
        "worker then uses whole cores.",
    )
    nice: int = Field(
        5,
        ge=0,
        le=19,
        description="Nice level of a worker, so that gateway and queue respond at once while a "
        "network runs.",
    )
    tile_pixels: int = Field(
        DEFAULT_TILE_PIXELS,
        ge=64 * 64,
        description="Most input pixels that run at once; larger pictures are cut into tiles.",
    )
    tile_output_pixels: int = Field(
        DEFAULT_TILE_OUTPUT_PIXELS,
        ge=64 * 64,
        description="Most output pixels that are made at once: limits a worker's memory at large "
        "scales by smaller tiles.",
    )
    max_source_pixels: int = Field(
        25 * MEGAPIXEL, ge=1, description="Most pixels of an input picture."
    )
    max_output_pixels: int = Field(
        100 * MEGAPIXEL, ge=1, description="Most pixels of an output picture."
    )
    decode_seconds: float = Field(
        5.0,
        gt=0,
        description="Longest time for the decoding of a picture; one that takes longer is refused "
        "with decoding_too_long. Nor may it take more than its job has left, and 2 s.",
    )
    sandbox: bool = Field(
        True,
        description="Whether a process of its own decodes pictures, with little memory, time and "
        "rights, so that a fault of a decoder costs one picture. Without it, and on other systems "
        "than Linux, decode_seconds is not enforced.",
    )
    max_job_bytes: int = Field(
        JOB_BYTES,
        ge=64 << 20,
        description="Most memory, in bytes, that making one picture may take, by its size, depth, "
        "transparency and output format (docs/reliability.md); more gets 413.",
    )
    calibration_folder: str | None = Field(
        None,
        description="Cache folder of measured costs; unset: anysr in the user's cache folder; "
        "empty: costs are measured at each start. Costs of a disturbed machine are not cached; "
        "those of contended runs are saved when a worker ends.",
    )
    unload_seconds: float = Field(
        300.0,
        gt=0,
        description="How long a worker must have been idle before it takes all networks but the "
        "cheapest out of memory. The next pictures load them again, in about 0.1 s each.",
    )
    stuck_seconds: float = Field(
        10.0,
        gt=0,
        description="How long the thread of a job that was cancelled or lost may take to return, "
        "beyond its decoding and encoding, before the worker ends itself to be replaced.",
    )
    worker_metrics_port: int = Field(
        0,
        ge=0,
        le=65535,
        description="Port of a worker's /metrics; 0: none. Further workers of a pool use the "
        "following ports.",
    )
    worker_metrics_host: str = Field(
        "0.0.0.0", description="Address that a worker's /metrics listens on."
    )
    exit_with_parent: bool = Field(
        False, description="Whether a worker ends when its parent process has died."
    )
    keepalive_fd: int | None = Field(
        None,
        ge=3,
        description="File descriptor on which a worker shows each second that it is alive; set by "
        "the pool that starts it.",
    )
    replaces_silent: bool = Field(
        False,
        description="Whether the worker before was killed because it no longer showed that; set by "
        "the pool.",
    )

    @property
    def limits(self) -> Limits:
        """The limits on pictures."""
        return Limits(self.max_source_pixels, self.max_output_pixels, self.max_job_bytes)

    @property
    def only_precision(self) -> Precision | None:
        """The only allowed precision; None for any."""
        return None if self.precision == "auto" else Precision(self.precision)

    @model_validator(mode="after")
    def _precision_of_runtime(self) -> WorkerSettings:
        low = self.precision not in ("auto", Precision.FLOAT32)
        if low and (
            self.runtime not in (Runtime.AUTO, Runtime.OPENVINO) or self.device is Device.CUDA
        ):
            raise ValueError(
                f"precision {self.precision} needs the openvino runtime on a CPU: set "
                "ANYSR_RUNTIME=auto and ANYSR_DEVICE=cpu, or ANYSR_PRECISION=auto"
            )
        return self
