"""Batches in Redis: the fields of their records, and the elements of their lists of sources."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from redis.exceptions import ResponseError

from jobs.batch import (
    RECORD_PREFIX,
    BatchItem,
    BatchStatus,
    BatchView,
    ItemState,
)
from jobs.codec import BATCH_ITEM, BATCH_ORDER, CodecError
from jobs.errors import BatchNotFound, DataLoss
from jobs.job import DeliveryKind, JobView
from jobs.records import Record, delivery_of, moment_of, view_of

log = logging.getLogger(__name__)


def batch_in(name: str, record: Record | ResponseError) -> BatchView:
    """Return the batch of a record. Raises BatchNotFound and DataLoss."""
    if isinstance(record, ResponseError):
        log.warning("damaged record of a batch: %s", record)
        raise DataLoss.of("batch")
    if not record:
        raise BatchNotFound
    try:
        return batch_of(name, record)
    except ValueError as error:
        log.warning("damaged record of a batch: %s", error)
        raise DataLoss.of("batch") from error


def batch_of(name: str, record: Record) -> BatchView:
    """Return the batch that a record of this name describes. Raises CodecError for a damaged
    one."""
    try:
        return BatchView(
            id=name.removeprefix(RECORD_PREFIX),
            order=BATCH_ORDER.decode(record[b"batch"]),
            status=BatchStatus(record[b"status"].decode()),
            counts={state: int(record.get(state.value.encode(), b"0")) for state in ItemState},
            created_ms=float(record[b"created_ms"]),
            started_ms=moment_of(record.get(b"started_ms")),
            finished_ms=moment_of(record.get(b"finished_ms")),
            cancelling=b"cancelling" in record,
            webhook=delivery_of(record, DeliveryKind.WEBHOOK),
        )
    except (KeyError, ValueError) as error:
        raise CodecError(str(error)) from error


def announced_of(name: str, record: Record) -> JobView | BatchView:
    """Return the job or batch whose webhook has this record. Raises CodecError for a damaged
    one."""
    return batch_of(name, record) if name.startswith(RECORD_PREFIX) else view_of(record)


def element_of(item: BatchItem) -> bytes:
    """Return a source as its list has it: the state, which scripts read, and JSON. The URL to which
    its picture is put is kept apart, because the list is kept for longer."""
    return item.state.value.encode() + b" " + BATCH_ITEM.encode(_with_result_url(item, None))


def urls_of(items: Sequence[BatchItem]) -> list[str | int]:
    """Return the URLs of sources as create_batch.lua takes them: their number, then each after the
    index of its source."""
    urls = [
        (index, item.result.url)
        for index, item in enumerate(items)
        if item.result is not None and item.result.url is not None
    ]
    return [len(urls), *(part for pair in urls for part in pair)]


def with_url(item: BatchItem, url: bytes | None) -> BatchItem:
    """Return a source with the URL that was kept apart; as it is for None."""
    return item if url is None else _with_result_url(item, url.decode())


def _with_result_url(item: BatchItem, url: str | None) -> BatchItem:
    if item.result is None:
        return item
    return replace(item, result=replace(item.result, url=url))


def item_of(element: bytes) -> BatchItem:
    """Return the source in an element of a list. A script may have changed the state before the
    JSON. Raises DataLoss for a damaged one."""
    state, _, data = element.partition(b" ")
    try:
        return BATCH_ITEM.decode(data).moved(ItemState(state.decode()))
    except ValueError as error:
        log.warning("damaged source of a batch: %s", error)
        raise DataLoss.of("batch") from error
