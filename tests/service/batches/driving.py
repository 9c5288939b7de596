"""Batches as a caller drives them over HTTP."""

from __future__ import annotations

from typing import Any

import httpx

from tests.support.remote import Remote
from tests.support.waiting import eventually


def sources_of(remote: Remote, *paths: str) -> list[dict[str, str]]:
    """Sources of a remote, each named by its path."""
    return [{"image_url": remote.url(path), "name": path} for path in paths]


async def posted(
    client: httpx.AsyncClient, sources: list[dict[str, str]], **more: Any
) -> dict[str, Any]:
    """POST a batch at scale 2, and return it."""
    response = await client.post(
        "/batches", json={"sources": sources, "options": {"scale": 2}} | more
    )
    assert response.status_code == 202, response.text
    batch: dict[str, Any] = response.json()
    return batch


async def shown(client: httpx.AsyncClient, batch: dict[str, Any]) -> dict[str, Any]:
    """Return a batch as it is now."""
    response = await client.get(batch["links"]["self"])
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


async def ended(client: httpx.AsyncClient, batch: dict[str, Any]) -> dict[str, Any]:
    """Wait for the end of a batch, and return it."""

    async def over() -> bool:
        return (await shown(client, batch))["finished_ms"] is not None

    await eventually(over, "the end of a batch")
    return await shown(client, batch)


async def items_of(client: httpx.AsyncClient, batch: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the whole manifest of a batch, page by page."""
    items: list[dict[str, Any]] = []
    cursor: int | None = 0
    while cursor is not None:
        response = await client.get(batch["links"]["items"], params={"cursor": cursor, "limit": 4})
        assert response.status_code == 200, response.text
        page = response.json()
        items += page["items"]
        cursor = page["next_cursor"]
    return items
