"""Pauses of code that waits on a loop, asyncio's or trio's."""

import asyncio
import sys
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

import anyio


async def sleep(seconds: float) -> None:
    """Let the others on the loop go on for so many seconds."""
    await anyio.sleep(seconds)


async def until_done(future: "Future[None]", seconds: float) -> None:
    """Wait for a future of another thread, at most so many seconds.

    Not through `asyncio.wrap_future`: cancelling that would cancel it for everybody.
    """
    event = anyio.Event()
    wake = _waker()

    def tell(_: Any) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            wake(event.set)

    future.add_done_callback(tell)
    with anyio.move_on_after(seconds):
        await event.wait()


def _waker() -> Callable[[Callable[[], Any]], object]:
    """What calls something on the running loop, from another thread."""
    try:
        return asyncio.get_running_loop().call_soon_threadsafe
    except RuntimeError:
        token = sys.modules["trio"].lowlevel.current_trio_token()
        wake: Callable[[Callable[[], Any]], object] = token.run_sync_soon
        return wake
