"""Client of AnySR Serve: upscales pictures by any real scale within a latency budget.

`Client` blocks and `AsyncClient` awaits; both have the same methods.
"""

from anysr_client.answers import (
    BatchState,
    Destination,
    Estimate,
    Format,
    JobState,
    Limits,
    Model,
    Models,
    Run,
    Rung,
    SourceState,
    Webhook,
)
from anysr_client.async_batch import AsyncBatch
from anysr_client.async_client import AsyncClient
from anysr_client.async_job import AsyncJob
from anysr_client.batch import Batch
from anysr_client.batch_operations import Address, Source
from anysr_client.batches import BatchItem
from anysr_client.client import Client
from anysr_client.deadline import Deadline
from anysr_client.errors import (
    AccessDenied,
    AnysrError,
    Busy,
    Conflict,
    ConnectionFailed,
    DeadlineExceeded,
    Infeasible,
    InvalidRequest,
    NotFound,
    PictureRefused,
    ServiceFailed,
    SourceFailed,
    UnexpectedAnswer,
)
from anysr_client.job import Job
from anysr_client.options import EstimateOptions, JobOptions, Options
from anysr_client.retries import NO_RETRIES, Retries
from anysr_client.uploads import Picture, Uploaded, Url
from anysr_client.upscaled import Upscaled
from anysr_client.version import VERSION

__version__ = VERSION

__all__ = [
    "NO_RETRIES",
    "AccessDenied",
    "Address",
    "AnysrError",
    "AsyncBatch",
    "AsyncClient",
    "AsyncJob",
    "Batch",
    "BatchItem",
    "BatchState",
    "Busy",
    "Client",
    "Conflict",
    "ConnectionFailed",
    "Deadline",
    "DeadlineExceeded",
    "Destination",
    "Estimate",
    "EstimateOptions",
    "Format",
    "Infeasible",
    "InvalidRequest",
    "Job",
    "JobOptions",
    "JobState",
    "Limits",
    "Model",
    "Models",
    "NotFound",
    "Options",
    "Picture",
    "PictureRefused",
    "Retries",
    "Run",
    "Rung",
    "ServiceFailed",
    "Source",
    "SourceFailed",
    "SourceState",
    "UnexpectedAnswer",
    "Uploaded",
    "Upscaled",
    "Url",
    "Webhook",
]
