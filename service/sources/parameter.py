"""Parameter `image_url`, which stands for a picture that the request does not carry."""

from __future__ import annotations

from collections.abc import Iterable

from jobs.errors import InvalidRequest
from scheduling.request import UpscaleRequest, parse_request

SOURCE = "image_url"
DESCRIPTION = (
    "Address of the picture, instead of a body: `http(s)` of a host that `ANYSR_SOURCES` names, or "
    "`s3://bucket/key` of a bucket in `ANYSR_BUCKETS`."
)


def parse_with_source(
    pairs: Iterable[tuple[str, str]], kind: type[UpscaleRequest] = UpscaleRequest
) -> tuple[UpscaleRequest, str | None]:
    """Return the parameters of a request, which are of this kind, and the address of its picture if
    it names one. Raises InvalidRequest."""
    given = list(pairs)
    sources = [value for name, value in given if name == SOURCE]
    wanted = parse_request(((name, value) for name, value in given if name != SOURCE), kind)
    if len(sources) > 1:
        raise InvalidRequest(f"'{SOURCE}' is given more than once; give it once.")
    if sources == [""]:
        raise InvalidRequest(f"{SOURCE} is empty.")
    return wanted, sources[0] if sources else None
