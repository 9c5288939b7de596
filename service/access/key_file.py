"""The file of keys that ANYSR_KEYS names: clients, their limits, and hashes of their keys, in TOML.

[clients.shop]
requests_per_second = 5
pixels_per_day = 2_000_000_000

[[clients.shop.keys]]
id = "k3J9dQ2x"
sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
created = 2026-11-27
"""

from __future__ import annotations

import math
import tomllib
from datetime import date
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic import model_validator as validator

from jobs.client_limits import DAY_S, ClientLimits
from jobs.settings_errors import SettingsError
from service.access.keys import Client, Key, KeyRing
from service.access.tokens import ID

MOST_BYTES = 4 << 20
"""Largest file that is parsed: some ten thousand keys."""

NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
"""Of clients: they are parts of Redis keys, log lines and metrics."""

MOST_INTEGER = 999_999_999_999_999
"""Largest integer of a structured field (RFC 9651), as which callers see quotas."""

BURST_S = 2.0
"""Requests of so many seconds may come at once where no burst is set."""


class KeyFileError(SettingsError):
    """The file cannot be read, or is no file of keys: one sentence that names it."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class KeyEntry(_Strict):
    """One key of a client."""

    id: str = Field(pattern=f"^{ID}$")
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    created: date | None = None

    def key(self, client: Client) -> Key:
        """Return the key."""
        return Key(self.id, bytes.fromhex(self.sha256), client)


class ClientEntry(_Strict):
    """One client: its limits, each of which may be left out, and its keys."""

    requests_per_second: float | None = Field(None, gt=0, le=1e6, allow_inf_nan=False)
    burst: int | None = Field(None, ge=1, le=1_000_000)
    pixels_per_day: int | None = Field(None, ge=0, le=MOST_INTEGER)
    jobs_waiting: int | None = Field(None, ge=1, le=10_000)
    share: int | None = Field(None, ge=1, le=1000)
    max_budget_ms: float | None = Field(None, gt=0, allow_inf_nan=False)
    models: list[str] | None = None
    keys: list[KeyEntry] = []

    @validator(mode="after")
    def _burst_of_a_rate(self) -> Self:
        if self.burst is not None and self.requests_per_second is None:
            raise ValueError("burst needs requests_per_second")
        # The counters of a client that rests for two days are deleted.
        if self.client("").limits.window_s > DAY_S:
            raise ValueError("burst requests must be restored within a day, at this rate")
        return self

    def client(self, name: str) -> Client:
        """Return the client."""
        rate = self.requests_per_second
        limits = ClientLimits(
            client=name,
            requests_per_second=rate,
            burst=self.burst or max(1, math.ceil(BURST_S * (rate or 0))),
            pixels_per_day=self.pixels_per_day,
            jobs_waiting=self.jobs_waiting,
        )
        models = None if self.models is None else frozenset(self.models)
        return Client(limits, self.max_budget_ms, models, self.share or 1)


class KeyFile(_Strict):
    """The whole file."""

    clients: dict[Annotated[str, StringConstraints(pattern=f"^{NAME}$")], ClientEntry] = {}

    @validator(mode="after")
    def _ids_are_unique(self) -> Self:
        seen: set[str] = set()
        for entry in self.clients.values():
            for key in entry.keys:
                if key.id in seen:
                    raise ValueError(f"the id {key.id} is used twice")
                seen.add(key.id)
        return self

    def ring(self) -> KeyRing:
        """Return the keys by their id."""
        found = {name: (entry.client(name), entry) for name, entry in self.clients.items()}
        return KeyRing(
            {key.id: key.key(client) for client, entry in found.values() for key in entry.keys}
        )


def read_key_file(path: Path) -> KeyFile:
    """Return the content of a file of keys. Raises KeyFileError."""
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise KeyFileError(f"ANYSR_KEYS: {path} cannot be read: {error.strerror}.") from error
    if len(content) > MOST_BYTES:
        raise KeyFileError(f"ANYSR_KEYS: {path} has more than {MOST_BYTES} bytes.")
    return parse_key_file(content, str(path))


def parse_key_file(content: bytes, name: str) -> KeyFile:
    """Return the content of a file of this name. Raises KeyFileError."""
    try:
        return KeyFile.model_validate(tomllib.loads(content.decode()))
    except ValidationError as error:
        raise KeyFileError(f"ANYSR_KEYS: {name}: {_first_fault(error)}.") from None
    except (ValueError, RecursionError) as error:  # not UTF-8, or no TOML
        raise KeyFileError(f"ANYSR_KEYS: {name} is no TOML file: {error}.") from None


def _first_fault(error: ValidationError) -> str:
    """Return the first fault as a clause, without the value, which may be a key by mistake."""
    fault = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(map(str, fault["loc"]))
    text = fault["msg"].removeprefix("Value error, ")
    return f"{place}: {text}" if place else text
