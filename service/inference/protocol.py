"""Names and records of the Open Inference Protocol, version 2, and of Triton's extension for binary
tensor data.

Sources: https://github.com/kserve/open-inference-protocol (`specification/protocol`), and
`docs/protocol/extension_binary_data.md` of https://github.com/triton-inference-server/server.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

AUTOMATIC = "anysr"
"""The name under which the service chooses the model."""
VERSION = "1"
"""The only version of every model."""
PLATFORM = "anysr_serve"
EXTENSIONS = ("binary_tensor_data", "parameters")

HEADER_LENGTH = "Inference-Header-Content-Length"
"""Header with the bytes of the JSON in a body that binary tensors follow."""
JSON, BINARY = "application/json", "application/octet-stream"
BINARY_SIZE = "binary_data_size"
"""Parameter of a tensor whose data follows the JSON: its bytes."""
BINARY_DATA = "binary_data"
"""Parameter of a wanted output: whether its data shall follow the JSON."""
BINARY_OUTPUT = "binary_data_output"
"""Parameter of a request: the same for all outputs."""
LENGTH_BYTES = 4
"""Of the number, lowest byte first, before each element of a binary tensor of BYTES."""

BYTES, UINT8 = "BYTES", "UINT8"
IMAGE, PIXELS = "image", "pixels"
"""Names of tensors: an encoded picture, and its samples."""
ANY_SIDE = -1
LONGEST_NAME = 256

Parameter = bool | int | float | str
Parameters = Annotated[dict[str, Parameter], Field(default_factory=dict)]


class _Sent(BaseModel):
    """What a client sends. Members that are unknown here are passed over, as extensions are."""

    model_config = ConfigDict(strict=True, frozen=True)


class InputTensor(_Sent):
    """A tensor of a request; its data is in `data`, or follows the JSON."""

    name: str
    datatype: str
    shape: list[Annotated[int, Field(ge=1)]]
    parameters: Parameters
    data: list[Any] | None = None


class WantedOutput(_Sent):
    """An output that a request names."""

    name: str
    parameters: Parameters


class InferenceRequest(_Sent):
    """The JSON of a request."""

    id: Annotated[str, Field(max_length=LONGEST_NAME)] | None = None
    parameters: Parameters
    inputs: list[InputTensor]
    outputs: Annotated[list[WantedOutput], Field(default_factory=list)]


class InferenceError(BaseModel):
    """An error. `code` is stable, and so are further members of some codes."""

    model_config = ConfigDict(extra="allow")

    error: str = Field(description="Tells what to do.")
    code: str
    request_id: str


class TensorMetadata(BaseModel):
    """A tensor of a model."""

    name: str
    datatype: str
    shape: Sequence[int] = Field(description="-1 stands for any size.")


class ModelMetadata(BaseModel):
    """What a model takes and makes. A request sends one of the `inputs`."""

    name: str
    versions: Sequence[str] = (VERSION,)
    platform: str = PLATFORM
    inputs: Sequence[TensorMetadata] = (
        TensorMetadata(name=IMAGE, datatype=BYTES, shape=(1,)),
        TensorMetadata(name=PIXELS, datatype=UINT8, shape=(ANY_SIDE, ANY_SIDE, ANY_SIDE)),
    )
    outputs: Sequence[TensorMetadata] = (TensorMetadata(name=IMAGE, datatype=BYTES, shape=(1,)),)


class ServerMetadata(BaseModel):
    """The service, and the extensions of the protocol that it knows."""

    name: str = "anysr-serve"
    version: str
    extensions: Sequence[str] = EXTENSIONS


class ServerLive(BaseModel):
    """The process runs."""

    live: bool = True


class ServerReady(BaseModel):
    """The service accepts requests."""

    ready: bool = True


class ModelReady(BaseModel):
    """The model is in a worker's memory."""

    name: str
    ready: bool = True
