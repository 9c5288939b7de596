"""What Schemathesis cannot know of the service: requests that mean something.

Generated requests are nearly all refused, because the picture of one is no picture, or because it
gives three sizes. Half of those that keep to the description are made whole here, so that each
route is reached beyond its checks. Schemathesis loads this in its own environment.
"""

from __future__ import annotations

import base64
import os
import time
import zlib
from collections.abc import Callable
from typing import Any

import schemathesis

from service.links.signature import link_key_of, signed

Case = Any
"""A request of Schemathesis, `schemathesis.Case`: query, headers, body and media type."""

PICTURE = base64.b64decode(os.environ["ANYSR_SCHEMA_PICTURE"])
ADDRESS = os.environ["ANYSR_SCHEMA_ADDRESS"]
"""Where the same picture is."""
LINK_KEY = link_key_of(os.environ["ANYSR_LINK_KEYS"])
SIZES = frozenset({"scale", "scale_h", "scale_w", "width", "height"})
OUTPUT_SIZES = frozenset({"scale", "scale_h", "scale_w", "output_width", "output_height"})
PLACES = frozenset({"image_url", "webhook_url", "result", "result_url"})
CHOICES = frozenset({"model", "anysr_width", "min_width", "min_db", "frame", "strength"})
"""Options of which hardly any drawn value is one of the service's."""
LEAST_BUDGET_MS = 5_000


def _wishes(given: dict[str, Any] | None, without: frozenset[str] = SIZES) -> dict[str, Any]:
    """Return options that agree with each other."""
    dropped = without | PLACES | CHOICES
    kept = {name: value for name, value in (given or {}).items() if name not in dropped}
    if "latency_budget_ms" in kept:
        kept["latency_budget_ms"] = LEAST_BUDGET_MS
    return {**kept, "scale": 2}


def _upload(case: Case) -> None:
    case.query = _wishes(case.query)
    case.media_type, case.body = "application/octet-stream", PICTURE
    (case.headers or {}).pop("Content-Type", None)


def _estimate(case: Case) -> None:
    case.query = {"width": 40, "height": 30, **_wishes(case.query, OUTPUT_SIZES)}


def _batch(case: Case) -> None:
    options = case.body.get("options") if isinstance(case.body, dict) else None
    case.body = {"sources": [{"image_url": ADDRESS}], "options": _wishes(options)}


def _link(case: Case) -> None:
    wishes = {name: str(value) for name, value in _wishes(case.query).items()}
    pairs = [("src", ADDRESS), ("scale", "2")]
    if wishes.get("format") in ("jpeg", "png", "webp"):
        pairs.append(("format", wishes["format"]))
    query = signed(pairs, LINK_KEY, int(time.time()) + 600)
    case.query = dict(part.split("=", 1) for part in query.split("&"))
    case.query["src"] = ADDRESS


def _inference(case: Case) -> None:
    data = [base64.b64encode(PICTURE).decode()]
    image = {"name": "image", "datatype": "BYTES", "shape": [1], "data": data}
    given = case.body.get("parameters") if isinstance(case.body, dict) else None
    case.body = {"inputs": [image], "parameters": _wishes(given)}
    case.media_type = "application/json"
    case.path_parameters = {**(case.path_parameters or {}), "name": "anysr"}
    if "version" in case.path_parameters:
        case.path_parameters["version"] = "1"
    (case.headers or {}).pop("Inference-Header-Content-Length", None)


def _model(case: Case) -> None:
    case.path_parameters = {**(case.path_parameters or {}), "name": "anysr"}
    if "version" in case.path_parameters:
        case.path_parameters["version"] = "1"


MEANT: dict[str, Callable[[Case], None]] = {
    "POST /upscale": _upload,
    "POST /jobs": _upload,
    "GET /estimate": _estimate,
    "POST /batches": _batch,
    "GET /image": _link,
    "POST /v2/models/{name}/infer": _inference,
    "POST /v2/models/{name}/versions/{version}/infer": _inference,
    "GET /v2/models/{name}": _model,
    "GET /v2/models/{name}/ready": _model,
    "GET /v2/models/{name}/versions/{version}": _model,
    "GET /v2/models/{name}/versions/{version}/ready": _model,
}
"""By operation: how a request is made whole."""


@schemathesis.hook
def map_case(_context: object, case: Case) -> Case:
    """Make half of the requests whole that keep to the description."""
    whole = MEANT.get(case.operation.label)
    if whole is not None and _keeps_to_description(case) and _drawn(case):
        whole(case)
    return case


def _keeps_to_description(case: Case) -> bool:
    return case.meta is None or case.meta.generation.mode.is_positive


def _drawn(case: Case) -> bool:
    """Return true for half of all requests, always for the same."""
    text = repr((case.path_parameters, case.query, case.body))
    return zlib.crc32(text.encode("utf-8", "surrogatepass")) % 2 == 0
