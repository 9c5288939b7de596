"""A request that ends without an answer keeps nothing of what it had."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Iterator

import pytest

from jobs.errors import CorruptImage
from service.caller_gone import CallerGone, first


class Upload:
    """Stands for a request's picture, of megabytes."""


@pytest.fixture(autouse=True)
def _nothing_is_collected() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


async def refused(upload: Upload) -> None:
    await asyncio.sleep(0)
    raise CorruptImage(f"{type(upload).__name__}: damaged")


async def waiting(upload: Upload) -> None:
    await asyncio.Event().wait()
    raise AssertionError(f"nobody ends {upload}")


async def leaving() -> None:
    await asyncio.sleep(0)


async def staying() -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("answer", "caller", "error"),
    [(refused, staying, CorruptImage), (waiting, leaving, CallerGone)],
)
async def test_a_picture_is_freed_with_the_error_of_its_request(
    answer: Callable[[Upload], Coroutine[None, None, None]],
    caller: Callable[[], Awaitable[None]],
    error: type[Exception],
) -> None:
    async def handled() -> None:
        """Handle a request as a route does, whose frame the error passes."""
        upload = Upload()
        seen.append(weakref.ref(upload))
        await first(answer(upload), caller())

    seen: list[weakref.ref[Upload]] = []
    try:
        await handled()
    except error:  # pytest.raises would keep it
        pass
    else:
        pytest.fail("it raises nothing")
    for _ in range(10):  # the turns in which cancelled tasks end
        await asyncio.sleep(0)
    assert seen[0]() is None
