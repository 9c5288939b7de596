"""From an upload to its job: planned by the picture's header alone; no pixel is decoded."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool

from images.file_size import check_whole_file
from images.header import ImageHeader
from images.opening import read_header
from jobs.job import JobRequest
from models.catalog import Catalog
from scheduling.planning import Budgets, build_job
from service.access.keys import Client
from service.settings import GatewaySettings
from service.uploads import Upload

READ_AT_ONCE_BYTES = 1 << 16
"""Largest file whose header is read on the event loop's thread: that takes less time than a switch
to another thread, whatever the file holds."""


async def header_of(upload: Upload, max_pixels: int) -> ImageHeader:
    """Return the header of a picture. Raises as `read_header` and `check_whole_file`."""
    arguments = upload.picture, max_pixels, upload.wanted.frame
    if len(upload.picture) <= READ_AT_ONCE_BYTES:
        return _checked_header(*arguments)
    return await run_in_threadpool(_checked_header, *arguments)


def _checked_header(picture: bytes, max_pixels: int, frame: int | None) -> ImageHeader:
    header = read_header(picture, max_pixels, frame)
    check_whole_file(picture, header)
    return header


class JobPlanner:
    """Plans the jobs of clients, within the limits of service and client."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._limits = settings.limits
        self._max_budget_ms = settings.max_budget_ms

    def job(
        self,
        job_id: str,
        upload: Upload,
        header: ImageHeader,
        client: Client,
        catalog: Catalog,
        default_ms: float,
        traceparent: str | None = None,
    ) -> JobRequest:
        """Return the job of a client's upload; `default_ms` is its budget if the upload names none.
        Raises as `build_job`, and ModelNotAllowed."""
        largest_ms = client.largest_budget_ms(self._max_budget_ms)
        budgets = Budgets(default_ms, largest_ms)
        wanted = upload.wanted
        job = build_job(
            job_id, wanted, header, catalog, self._limits, budgets, traceparent, len(upload.picture)
        )
        return client.owning(job)
