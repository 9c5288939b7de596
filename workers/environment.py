"""Settings as environment variables, to pass them to a child process."""

from __future__ import annotations

import json

from pydantic_settings import BaseSettings


def environment_of(settings: BaseSettings) -> dict[str, str]:
    """Return the environment variables of all fields that are not None."""
    prefix = settings.model_config.get("env_prefix", "")
    variables: dict[str, str] = {}
    for name, value in settings.model_dump(mode="json").items():
        if value is None:
            continue
        alias = type(settings).model_fields[name].validation_alias
        variable = alias if isinstance(alias, str) else f"{prefix}{name}".upper()
        variables[variable] = value if isinstance(value, str) else json.dumps(value)
    return variables
