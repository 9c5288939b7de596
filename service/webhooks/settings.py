"""Type of the setting with the secrets of webhooks."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, SecretStr
from pydantic_settings import NoDecode

from service.outbound.settings import items_of
from service.webhooks.signature import key_of


def _secrets(secrets: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    for secret in secrets:
        key_of(secret.get_secret_value())
    return secrets


Secrets = Annotated[
    tuple[SecretStr, ...], NoDecode, BeforeValidator(items_of), AfterValidator(_secrets)
]
"""Secrets of Standard Webhooks, separated by commas."""
