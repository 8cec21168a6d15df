"""A real kernel, and a front end for it as JupyterLab is one."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

from jupyter_client.manager import KernelManager

LIMIT = 60.0
WIDGET = "application/vnd.jupyter.widget-view+json"

SETUP = """
import asyncio, time, nbflow
from nbflow import workflow
from nbflow.widgets import RunView, show

@workflow
async def quick(ctx, n: int = 3):
    async def item(i):
        return {"i": i}
    await ctx.map("ask", item, range(n))
    return "done"

@workflow
async def patient(ctx):
    await ctx.run("first", lambda: 1)
    await ctx.sleep("nap", "10m")

@workflow
async def asks(ctx):
    return await ctx.ask("ok", "Go <b>on</b>?", timeout="10m")
"""


class FrontEnd:
    """Executes cells, hears what they send, and talks to widgets."""

    def __init__(self, folder: Path) -> None:
        self.manager = KernelManager()
        self.manager.start_kernel(cwd=str(folder))
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=LIMIT)
        self.heard: list[dict[str, Any]] = []
        self.subshell: str | None = None

    def close(self) -> None:
        """Stop the kernel."""
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)

    def open_subshell(self) -> None:
        """Let widgets be heard while a cell blocks, as JupyterLab does."""
        message = self.client.session.msg("create_subshell_request", {})
        self.client.control_channel.send(message)
        reply = self.client.get_control_msg(timeout=LIMIT)
        self.subshell = reply["content"]["subshell_id"]

    def start(self, code: str, *, stdin: bool = True, cell: str | None = None) -> str:
        """Execute a cell; does not wait for it."""
        content = {
            "code": code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": stdin,
            "stop_on_error": True,
        }
        metadata = {} if cell is None else {"cellId": cell}
        message = self.client.session.msg("execute_request", content, metadata=metadata)
        self.client.shell_channel.send(message)
        return str(message["header"]["msg_id"])

    def run(self, code: str, **options: Any) -> list[dict[str, Any]]:
        """Execute a cell to its end; what it and views have sent meanwhile."""
        first = len(self.heard)
        id = self.start(code, **options)
        self.until(lambda message: is_idle(message, id))
        for message in self.heard[first:]:
            assert message["msg_type"] != "error", message["content"]
        return self.heard[first:]

    def until(
        self, wanted: Callable[[dict[str, Any]], bool], what: str = "a message"
    ) -> dict[str, Any]:
        """Hear messages until one is wanted."""
        end = time.monotonic() + LIMIT
        while time.monotonic() < end:
            message = self.client.get_iopub_msg(timeout=LIMIT)
            message["at"] = time.monotonic()
            self.heard.append(message)
            if wanted(message):
                return message
        raise AssertionError(f"{what} did not come")

    def tell(self, comm: str, **content: Any) -> None:
        """Send a message to a widget."""
        data = {"method": "custom", "content": content}
        message = self.client.session.msg("comm_msg", {"comm_id": comm, "data": data})
        if self.subshell is not None:
            message["header"]["subshell_id"] = self.subshell
        self.client.shell_channel.send(message)

    def custom(self, comm: str, kind: str) -> dict[str, Any]:
        """The next message of that kind from a widget."""
        found = self.until(
            lambda message: content_of(message, comm).get("t") == kind, kind
        )
        return content_of(found, comm)

    def replaced(self, view: dict[str, Any]) -> dict[str, Any]:
        """The bundle that replaces the output of a view next."""
        found = self.until(
            lambda message: (
                message["msg_type"] == "update_display_data"
                and message["content"]["transient"]["display_id"] == view["display"]
            ),
            "another output",
        )
        bundle: dict[str, Any] = found["content"]["data"]
        return bundle

    def closed(self, view: dict[str, Any]) -> None:
        """Wait until the comm of a view is closed."""

        def is_its(message: dict[str, Any]) -> bool:
            of_it = message["content"].get("comm_id") == view["id"]
            return message["msg_type"] == "comm_close" and of_it

        if not any(map(is_its, self.heard)):
            self.until(is_its, "the end of the comm")


def content_of(message: dict[str, Any], comm: str) -> dict[str, Any]:
    """What a widget has sent by a message; empty if it is another one."""
    content = message["content"]
    if message["msg_type"] != "comm_msg" or content.get("comm_id") != comm:
        return {}
    found: dict[str, Any] = content["data"].get("content") or {}
    return found


def is_idle(message: dict[str, Any], id: str) -> bool:
    """Whether a message says that an execution is over."""
    return (
        message["msg_type"] == "status"
        and message["content"]["execution_state"] == "idle"
        and message["parent_header"].get("msg_id") == id
    )


def opened(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The comms of run views that were opened: ids, states, and of their outputs."""
    shown = [
        each["content"]["transient"].get("display_id")
        for each in messages
        if each["msg_type"] == "display_data"
    ]
    display = {"display": shown[0]} if shown else {}
    return [
        {"id": each["content"]["comm_id"], **display} | each["content"]["data"]["state"]
        for each in messages
        if each["msg_type"] == "comm_open"
        and "snapshot" in each["content"]["data"]["state"]
    ]


def bundles(messages: list[dict[str, Any]], type: str) -> list[dict[str, Any]]:
    """The mime bundles of outputs of that message type."""
    return [each["content"]["data"] for each in messages if each["msg_type"] == type]


def unique() -> str:
    """An id of a cell."""
    return uuid4().hex
