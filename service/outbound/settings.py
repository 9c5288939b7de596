"""Types of the settings about outbound requests: lists whose items are separated by commas."""

from __future__ import annotations

import json
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import NoDecode

from service.outbound.addresses import read_networks


def items_of(value: object) -> object:
    """Return the items of a comma-separated text, or of a JSON list; anything else as it is."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return json.loads(value)
    return tuple(item.strip() for item in value.split(",") if item.strip())


def _networks(texts: tuple[str, ...]) -> tuple[str, ...]:
    try:
        read_networks(texts)
    except ValueError as error:
        raise ValueError(f"must be networks such as 10.1.0.0/16: {error}") from None
    return texts


Items = Annotated[tuple[str, ...], NoDecode, BeforeValidator(items_of)]
Networks = Annotated[Items, AfterValidator(_networks)]
"""Networks as text, which `read_networks` reads."""
Port = Annotated[int, Field(ge=1, le=65535)]
Ports = Annotated[tuple[Port, ...], NoDecode, BeforeValidator(items_of)]
