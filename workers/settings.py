"""What an operator may set of a worker, each as an environment variable ANYSR_<NAME>."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict

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
    """Limits are upper bounds that are still allowed; times carry their unit in their name."""

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
        description="Models (a JSON list) to load at the start, of those that are else loaded "
        "when they are first asked for.",
    )
    runtime: Runtime = Field(
        Runtime.AUTO,
        description="Engine that runs the networks: onnx, openvino or torchscript; auto: for each "
        "model the fastest that is right, measured at the first start.",
    )
    precision: Literal["auto", "float32", "bfloat16", "int8"] = Field(
        "auto",
        description="In which numbers the trunks of networks compute, where they can: float32, "
        "bfloat16 or int8; auto: in which they are fastest here. Heads compute in float32.",
    )
    device: Device = Field(Device.CPU, description="Where the networks run: cpu or cuda.")
    worker_threads: int = Field(
        0, ge=0, description="Threads of one worker's network; 0: all cores, shared evenly."
    )
    spin: bool = Field(
        False,
        description="Whether idle threads of the network spin: some percent faster, but an idle "
        "worker then takes whole cores.",
    )
    nice: int = Field(
        5,
        ge=0,
        le=19,
        description="How far a worker gives way to other processes of its machine (nice level), so "
        "that gateway and queue answer at once while a network runs.",
    )
    tile_pixels: int = Field(
        DEFAULT_TILE_PIXELS,
        ge=64 * 64,
        description="Most input pixels that run at once; larger pictures are cut into tiles.",
    )
    tile_output_pixels: int = Field(
        DEFAULT_TILE_OUTPUT_PIXELS,
        ge=64 * 64,
        description="Most output pixels that are made at once: what bounds a worker's memory at "
        "large scales, with tiles that are smaller still.",
    )
    max_source_pixels: int = Field(
        25 * MEGAPIXEL, ge=1, description="Most pixels of an input picture."
    )
    max_output_pixels: int = Field(
        100 * MEGAPIXEL, ge=1, description="Most pixels of an output picture."
    )
    calibration_folder: str | None = Field(
        None,
        description="Folder that keeps measured costs from one start to the next; unset: anysr in "
        "the user's cache folder; empty: measured at each start. What was measured while others "
        "used the machine is not kept; what runs then take is, when a worker ends.",
    )
    worker_metrics_port: int = Field(
        0,
        ge=0,
        le=65535,
        description="Port of a worker's /metrics; 0: none. Further workers of a pool take the "
        "ports that follow.",
    )
    worker_metrics_host: str = Field(
        "0.0.0.0", description="Address that a worker's /metrics listens on."
    )
    exit_with_parent: bool = Field(
        False, description="Whether a worker ends when the process that started it has died."
    )

    @property
    def only_precision(self) -> Precision | None:
        """The one precision that is allowed; None for any."""
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
