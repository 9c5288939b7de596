"""Parameters that stand for a picture that the request does not carry: `image_url`, `upload`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from jobs.errors import InvalidRequest
from scheduling.request import UpscaleRequest, parse_request

SOURCE = "image_url"
DESCRIPTION = (
    "Address of the picture, instead of a body: `http(s)` of a host that `ANYSR_SOURCES` names, or "
    "`s3://bucket/key` of a bucket in `ANYSR_BUCKETS`."
)
UPLOAD = "upload"
UPLOAD_DESCRIPTION = "Id of an upload (`POST /uploads`) with the picture, instead of a body."
NAMES = (SOURCE, UPLOAD)


@dataclass(frozen=True)
class Source:
    """Where a picture is: `name` is the parameter that says so, and `text` its value."""

    name: str
    text: str


def parse_with_source(
    pairs: Iterable[tuple[str, str]], kind: type[UpscaleRequest] = UpscaleRequest
) -> tuple[UpscaleRequest, Source | None]:
    """Return the parameters of a request, which are of this kind, and where its picture is if it
    does not carry it. Raises InvalidRequest."""
    given = list(pairs)
    sources = [Source(name, text) for name, text in given if name in NAMES]
    wanted = parse_request(((name, text) for name, text in given if name not in NAMES), kind)
    if not sources:
        return wanted, None
    if len(sources) > 1:
        names = {source.name for source in sources}
        if len(names) > 1:
            raise InvalidRequest(f"Give '{SOURCE}' or '{UPLOAD}', not both.")
        raise InvalidRequest(f"'{names.pop()}' is given more than once; give it once.")
    if not sources[0].text:
        raise InvalidRequest(f"{sources[0].name} is empty.")
    return wanted, sources[0]
