"""The watch on the engine's loop."""

import asyncio
import threading
import time
from types import SimpleNamespace
from typing import Any

from nbflow._engine.watch import Watch


def watchers() -> set[threading.Thread]:
    return {one for one in threading.enumerate() if one.name == "nbflow-watch"}


def test_a_watch_that_is_set_again_at_once_goes_on() -> None:
    loop = asyncio.new_event_loop()
    core: Any = SimpleNamespace(loop=loop, thread=threading.get_ident())
    others = watchers()
    watch = Watch(core)
    watch.set(True)
    [first] = watchers() - others
    time.sleep(0.05)  # it has come to its wait
    watch.set(False)
    watch.set(True)
    first.join(0.5)
    [last] = watchers() - others
    watch.set(False)
    last.join(60)
    assert not last.is_alive()
    loop.close()
