"""What a caller agrees with the queue about a job, beside the job itself."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from jobs.keys import Keys


@dataclass(frozen=True)
class Idempotency:
    """A key under which a request may be sent again, and get the job of the first one."""

    key: str
    fingerprint: str
    """Digest of all that the request asks for, its picture included."""
    caller: str = ""
    """Whose key it is; the keys of others are not the same. Empty where callers are not known."""

    @property
    def digest(self) -> str:
        """Name of caller and key together, of a fixed length."""
        return hashlib.sha256(f"{len(self.caller)}:{self.caller}{self.key}".encode()).hexdigest()


@dataclass(frozen=True)
class WebhookTarget:
    """Where the end of a job is announced."""

    url: str
    host: str
    """The URL's host, by which deliveries are bounded."""


@dataclass(frozen=True)
class ResultTarget:
    """Where the picture of a job is put."""

    place: str
    """`s3://bucket/key`, or scheme and host of a URL: what everybody may see."""
    host: str
    """Host of store or URL, by which deliveries are bounded."""
    url: str | None = field(default=None, repr=False)
    """The URL; whoever knows it can write there. None for a bucket."""


@dataclass(frozen=True)
class Terms:
    """The terms of one submission."""

    idempotency: Idempotency | None = None
    webhook: WebhookTarget | None = None
    result: ResultTarget | None = None
    durable: bool = False
    """Whether the job is accepted only once it is in the append-only file on disk."""
    fixed_id: bool = False
    """Whether the job keeps its id in a divided queue, because its caller will ask for it by that
    (`jobs.shards.ids`)."""


NO_TERMS = Terms()


def idempotency_in_scripts(idempotency: Idempotency | None, keys: Keys) -> tuple[str, str]:
    """Return name and fingerprint of an idempotency key, as the scripts take them."""
    if idempotency is None:
        return "", ""
    return keys.idempotency_key(idempotency.digest), idempotency.fingerprint


def terms_in_scripts(terms: Terms, keys: Keys, kept_s: int) -> tuple[str | int, ...]:
    """Return terms as the scripts take them: of the idempotency key, the webhook, and the place of
    the result, whose URL is kept for `kept_s`."""
    webhook = (terms.webhook.url, terms.webhook.host) if terms.webhook else ("", "")
    result = terms.result
    place = (result.place, result.host, result.url or "") if result else ("", "", "")
    return (*idempotency_in_scripts(terms.idempotency, keys), *webhook, *place, kept_s)
