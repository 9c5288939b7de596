"""`anysr link`: signs the address of a picture, for web pages."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from cli.sentences import WRONG_USAGE, fail
from jobs.settings_errors import settings_of

LOCAL = "http://127.0.0.1:8000"
MONTH_S = 30 * 86_400


def link(
    source: Annotated[str, typer.Argument(help="Address of the picture: https:// or s3://.")],
    scale: Annotated[float | None, typer.Option(help="Output size / input size.")] = None,
    width: Annotated[int | None, typer.Option(help="Output width in pixels.")] = None,
    height: Annotated[int | None, typer.Option(help="Output height in pixels.")] = None,
    format: Annotated[  # noqa: A002 - the name of the option
        str | None, typer.Option(help="Format; by default the browser's Accept header chooses it.")
    ] = None,
    quality: Annotated[int | None, typer.Option(help="From 1 to 100.")] = None,
    budget_ms: Annotated[float | None, typer.Option(help="Latency budget, in ms.")] = None,
    valid_seconds: Annotated[
        int, typer.Option(min=1, help="How long the link is valid.")
    ] = MONTH_S,
    server: Annotated[str, typer.Option(help="Public URL of the gateway.")] = LOCAL,
) -> None:
    """Print a signed link to an upscaled picture. The first key of ANYSR_LINK_KEYS signs it."""
    from jobs.errors import InvalidRequest
    from scheduling.request import parse_request
    from service.links.request import ADDRESS
    from service.links.signature import link_key_of, signed
    from service.settings import GatewaySettings

    keys = settings_of(GatewaySettings).link_keys
    if not keys:
        fail("ANYSR_LINK_KEYS is not set; it has the keys that sign links.", WRONG_USAGE)
    wishes = {
        "scale": scale,
        "width": width,
        "height": height,
        "format": format,
        "quality": quality,
        "latency_budget_ms": budget_ms,
    }
    pairs = [(name, f"{value}") for name, value in wishes.items() if value is not None]
    try:
        parse_request(pairs)
    except InvalidRequest as error:
        fail(str(error), WRONG_USAGE)
    key = link_key_of(keys[0].get_secret_value())
    query = signed([(ADDRESS, source), *pairs], key, int(time.time()) + valid_seconds)
    typer.echo(f"{server.rstrip('/')}/image?{query}")
