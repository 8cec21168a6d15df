"""A box that follows an app's store for as long as it is on a page.

It looks at the store's stamp a few times a second, and draws only when there is news.
Neighbours: `ticker` calls it, `places` says where it is shown.
"""

import time
from typing import Any

import ipywidgets

from nbflow.client import Client
from nbflow.errors import NbflowError
from nbflow.widgets import places, ticker
from nbflow.widgets.elements import close_tree, hear_while_busy, label, style, text_line

LOOK = 0.25
"""Seconds between two looks at the stamp."""
DRAW = 0.5
"""Seconds between two drawings, at least."""
_SECOND = 1.0
_CHECK = 5.0
"""Seconds after which live things are read again: an engine goes without a word."""
_SHARE = 5
"""A drawing that took long is followed by a pause of so many times that."""
_MESSAGES = 80
"""Changed widgets a second, on average: the server drops what is far above."""


def client_of(client: Any, widget: str) -> Client:
    """The client that a widget was given, or that of the notebook.

    Raises:
        TypeError: it was given something else.
    """
    if client is None:
        return Client()
    if isinstance(client, Client):
        return client
    raise TypeError(
        f"{widget}({client!r}): give a Client, as in {widget}(Client(app='other')), "
        "or nothing for the app of this notebook"
    )


class LiveBox(ipywidgets.VBox):
    """What `RunsView` and the queues have in common.

    A subclass draws in `_draw`, and retells times in `_retime`.
    """

    _is_closed = True  # until it is made: there is nothing to close

    def __init__(self, client: Client, kind: str) -> None:
        super().__init__()
        self._client = client
        self._dom_classes = ("nbflow", f"nbflow-{kind}")
        self._message = label("", "nbflow-message")
        self._message.layout.display = "none"
        self._style = style()
        self._stamp: object = None
        self._is_stale = True
        self._is_closed = False
        self._is_hidden = False
        self._is_shown = False
        self._has_live = False
        self._next_draw = 0.0
        self._next_check = 0.0
        self._next_second = 0.0
        # The front end counts the views of it from here on.
        self._view_count = 0
        self.observe(self._on_views, "_view_count")

    # Where it is shown

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        self._show()
        return places.bundle(self, super()._repr_mimebundle_)

    def _ipython_display_(self) -> None:
        self._show()
        places.display(self, super()._repr_mimebundle_)

    def _show(self) -> None:
        self._is_shown = True
        if not self._is_closed and not self._is_hidden:
            ticker.watch(self)

    def _on_views(self, change: Any) -> None:
        self._is_shown = bool(change["new"])
        if self._is_shown:
            self._show()

    def _set_hidden(self, is_hidden: bool) -> None:
        """Whether it is on a page, but not to be seen: it stops looking."""
        self._is_hidden = is_hidden
        if not is_hidden and not self._is_closed:
            ticker.watch(self)

    def close(self) -> None:
        """Look no more, and leave a plain picture in the place of the widget."""
        if self._is_closed:
            return
        ticker.unwatch(self)
        places.freeze(self)
        self._is_closed = True
        close_tree(self)
        super().close()

    def picture(self) -> list[str]:
        """What it shows, as lines of text."""
        return [repr(self)]

    # News

    def tick(self, now: float) -> float | None:
        """Look for news; how long to the next look, or None when nobody looks."""
        if self._is_closed or self._is_hidden or not self._is_shown:
            return None
        try:
            self._look(now)
        except Exception as error:
            # Whatever it is, it is said in its place, and looked at again.
            if self._is_closed:
                return None
            self._tell(error)
            self._stamp = None
            return _CHECK
        return LOOK

    def refresh(self) -> None:
        """Draw what is there now."""
        try:
            self._stamp = self._client.stamp()
            self._is_stale = False
            began = time.monotonic()
            changed = self._draw()
            ended = time.monotonic()
        except NbflowError as error:
            self._tell(error)
            return
        self._say("")
        hear_while_busy(self)
        pause = max(DRAW, _SHARE * (ended - began), changed / _MESSAGES)
        self._next_draw = ended + pause
        self._next_check = ended + max(_CHECK, pause)

    def _look(self, now: float) -> None:
        if now < self._next_draw:
            return
        stamp = self._client.stamp()
        is_due = self._has_live and now >= self._next_check
        if self._is_stale or is_due or stamp != self._stamp:
            self.refresh()
        elif self._has_live and now >= self._next_second:
            self._next_second = now + _SECOND
            self._retime()

    def _redraw(self) -> None:
        """Something was chosen: draw soon, by the thread that draws."""
        self._is_stale = True
        self._next_draw = 0.0
        ticker.watch(self)

    def _tell(self, error: BaseException) -> None:
        text = str(error) if isinstance(error, NbflowError) else repr(error)
        self._say(text)

    def _say(self, text: str) -> None:
        self._message.value = text_line(text)
        self._message.layout.display = None if text else "none"

    def _draw(self) -> int:
        """Show what the store has; how many widgets have changed."""
        raise NotImplementedError

    def _retime(self) -> None:
        """Retell what depends on the time alone."""
