"""A real answer's Retry-After sets the next try, and holds its flow-control key."""

import threading
from collections.abc import Iterator
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from nbflow import Context, FlowControl, RunFailed, workflow
from nbflow.testing import TestEngine

pytestmark = pytest.mark.anyio


class Limited(ThreadingHTTPServer):
    """Answers 429 to the first request, then 200; 404 elsewhere."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests = 0
        self.retry_after = "20"
        self.status = 429

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Limited

    def do_GET(self) -> None:
        self.server.requests += 1
        if self.server.requests > 1:
            self.send_response(200)
        else:
            self.send_response(self.server.status)
            self.send_header("Retry-After", self.server.retry_after)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Not to the test's output."""


@pytest.fixture
def api() -> Iterator[Limited]:
    server = Limited()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def get(url: str) -> int:
    return httpx.get(url, trust_env=False).raise_for_status().status_code


@workflow(app="http")
async def fetch(ctx: Context, url: str) -> list[int]:
    limit = FlowControl("api", parallelism=1)
    return await ctx.map("get", lambda n: get(url), range(3), flow_control=limit)


@pytest.mark.parametrize("form", ["seconds", "date"])
async def test_the_key_waits_as_long_as_the_server_wants(lab, api, form) -> None:
    began = lab.clock.now()
    if form == "date":
        from datetime import timedelta

        api.retry_after = format_datetime(began + timedelta(seconds=20), usegmt=True)
    handle = lab.start(fetch, api.url)
    assert await handle == [200, 200, 200]
    assert api.requests == 4
    assert (lab.clock.now() - began).total_seconds() == pytest.approx(20, abs=1)
    (tries,) = (step.attempts for step in handle.steps if len(step.attempts) > 1)
    assert [attempt.status for attempt in tries] == ["failed", "completed"]


async def test_who_waits_is_told_what_the_server_said(lab: TestEngine, api) -> None:
    whys = []

    @workflow
    async def main(ctx: Context) -> None:
        limit = FlowControl("api", parallelism=1)
        await ctx.map("get", lambda n: get(api.url), range(2), flow_control=limit)

    handle = lab.start(main)
    async for event in handle.stream():
        if event.type == "step.retrying":
            queue = lab.client.flow_control.get("api")
            whys += [waiter.why for waiter in queue.waiting]
    await handle
    assert all(why.startswith("429, ") for why in whys)


async def test_a_wrong_address_is_not_tried_again(lab: TestEngine, api) -> None:
    api.status = 404

    @workflow
    async def main(ctx: Context) -> int:
        return await ctx.run("get", get, api.url)

    with pytest.raises(RunFailed, match="404"):
        await lab.run(main)
    assert api.requests == 1
