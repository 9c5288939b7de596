"""Type of the setting with the keys that sign links."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, SecretStr
from pydantic_settings import NoDecode

from service.links.signature import link_key_of
from service.outbound.settings import items_of


def _keys(texts: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    ids = [link_key_of(text.get_secret_value()).id for text in texts]
    if len(set(ids)) < len(ids):
        raise ValueError("must have another id for each key")
    return texts


LinkKeys = Annotated[
    tuple[SecretStr, ...], NoDecode, BeforeValidator(items_of), AfterValidator(_keys)
]
"""Keys `id:secret`, separated by commas."""
