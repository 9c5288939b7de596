"""A link as the request for the picture that it stands for."""

from __future__ import annotations

from urllib.parse import urlencode

from fastapi import Request

from jobs.errors import InvalidRequest
from jobs.formats import ImageFormat
from scheduling.request import AUTO
from service.links.signature import EXPIRY, KEY_ID, SIGNATURE, Pairs
from service.sources.parameter import SOURCE

ADDRESS, FORMAT = "src", "format"
OF_THE_LINK = frozenset({SIGNATURE, KEY_ID, EXPIRY, ADDRESS})


def fixed_format(pairs: Pairs) -> bool:
    """Return whether the link names the format, so that the Accept header chooses none."""
    return any(name == FORMAT and value != AUTO for name, value in pairs)


def as_upscale(request: Request, pairs: Pairs, chosen: ImageFormat | None) -> Request:
    """Return the request of `POST /upscale` that a link stands for, in the format that was chosen;
    None for that of the link. Raises InvalidRequest for a link without an address.

    It has none of the caller's headers: who views a page must not choose how the picture is made.
    """
    sources = [(SOURCE, value) for name, value in pairs if name == ADDRESS]
    if not sources:
        raise InvalidRequest(f"'{ADDRESS}' is missing: the address of the picture.")
    unnamed = OF_THE_LINK if chosen is None else OF_THE_LINK | {FORMAT}
    others = [(name, value) for name, value in pairs if name not in unnamed]
    named = [] if chosen is None else [(FORMAT, chosen.value)]
    query = urlencode([*sources, *others, *named]).encode()
    return Request({**request.scope, "query_string": query, "headers": []}, request.receive)
