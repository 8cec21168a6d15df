"""Steer a key of flow control: give it limits, or take them back."""

from collections.abc import Callable, Iterable
from typing import Any

from textual.widget import Widget
from textual.widgets import Input

from nbflow.client import Client
from nbflow.model import FlowKey
from nbflow.view import Span, line
from nbflow_tui.dialogs.base import Dialog, Say, named
from nbflow_tui.pending import Sent


class LimitsDialog(Dialog):
    """Limits that hold over what executions ask for.

    Args:
        client: of its app.
        key: the key.
    """

    send_label = "Set limits"

    def __init__(self, client: Client, key: FlowKey) -> None:
        super().__init__(client, f"Limits of flow key {key.key}")
        self.key_record = key

    def body(self) -> Iterable[Widget]:
        """At once, rate, period."""
        key = self.key_record
        at_once, rate = _text(key.parallelism), _text(key.rate)
        yield named("at once", Input(at_once, id="parallelism", placeholder="any"))
        yield named("starts", Input(rate, id="rate", placeholder="any"))
        yield named("in", Input(f"{key.period:g}s", id="period"))
        yield Say(
            line(
                Span(
                    "They hold over what workflows ask for, until they are reset.",
                    "dim",
                )
            ),
            classes="caption",
        )

    def start(self) -> None:
        """Begin with the first field."""
        self.query_one("#parallelism", Input).focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter sends."""
        event.stop()
        self.action_send()

    def call(self) -> Callable[[], Sent] | None:
        """Set them."""
        limits: dict[str, Any] = {}
        for name, word in (("parallelism", "at once"), ("rate", "starts")):
            text = self.query_one(f"#{name}", Input).value.strip()
            if not text:
                limits[name] = None
            elif text.isascii() and text.isdigit():
                limits[name] = int(text)
            else:
                self.fail(f"{word}: {text!r} is no whole number; empty is any")
                return None
        limits["period"] = self.query_one("#period", Input).value.strip() or "1s"
        key = self.key_record.key

        def send() -> Sent:
            is_kept = not self.client.is_served()
            self.client.flow_control.set(key, **limits)
            note = self.kept(f"limits of {key}") if is_kept else f"limits of {key} set"
            return Sent("flow", self.client.app, (), note, is_kept)

        return send


class ResetDialog(Dialog):
    """Take set limits back.

    Args:
        client: of its app.
        key: the key.
    """

    send_label = "Reset"

    def __init__(self, client: Client, key: FlowKey) -> None:
        super().__init__(client, f"Reset flow key {key.key}")
        self.key_record = key

    def body(self) -> Iterable[Widget]:
        """What is forgotten."""
        yield Say(
            "Forgets limits that were set, a pause, a hold and the starts so far. "
            "What waits may start at once."
        )

    def start(self) -> None:
        """Enter resets."""
        self.query_one("#send").focus()

    def call(self) -> Callable[[], Sent] | None:
        """Reset it."""
        key = self.key_record.key

        def send() -> Sent:
            is_kept = not self.client.is_served()
            self.client.flow_control.reset(key)
            note = self.kept(f"reset of {key}") if is_kept else f"{key} is reset"
            return Sent("flow", self.client.app, (), note, is_kept)

        return send


def _text(limit: int | None) -> str:
    return "" if limit is None else str(limit)
