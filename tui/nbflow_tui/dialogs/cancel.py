"""Cancel runs; says first which, and which others go with them."""

from collections.abc import Callable, Iterable, Sequence

from textual.widget import Widget
from textual.widgets import Button, Input

from nbflow.client import Client
from nbflow.model import UNFINISHED_RUN, Run
from nbflow.view import Line, Look, Span, line, plural, run_brief
from nbflow_tui import clock
from nbflow_tui.dialogs.base import Dialog, Say, named
from nbflow_tui.pending import Sent

_SHOWN = 8


class CancelDialog(Dialog):
    """Cancel one run or several of an app.

    Args:
        client: of their app.
        runs: the run, or several.
        look: what the terminal can show.
    """

    send_label = "Cancel the run"
    send_variant = "error"

    def __init__(
        self, client: Client, runs: Run | Sequence[Run], look: Look | None = None
    ) -> None:
        self.runs = [runs] if isinstance(runs, Run) else list(runs)
        self.look = look or Look()
        open_runs = [run for run in self.runs if not run.is_ended]
        count = len(open_runs)
        super().__init__(client, f"Cancel {plural(count, 'run')} of {client.app}")
        self.open_runs = open_runs
        if count > 1:
            self.send_label = f"Cancel {count} runs"

    def body(self) -> Iterable[Widget]:
        """The runs, their children, a reason."""
        yield Say(*brief_lines(self.open_runs, self.look), classes="rows")
        ended = len(self.runs) - len(self.open_runs)
        if ended:
            yield Say(
                f"{plural(ended, 'run')} of them ended already: left as "
                f"{'it is' if ended == 1 else 'they are'}.",
                classes="note",
            )
        yield Say(id="children", classes="rows")
        yield named("reason", Input(id="reason", placeholder="shown with the run"))
        yield Say(
            "Finished steps are kept: a canceled run can be resumed.",
            classes="note caption",
        )

    def start(self) -> None:
        """Look for the runs that these have invoked."""
        if not self.open_runs:
            self.fail("All of it has ended: there is nothing to cancel.")
            self.query_one("#send", Button).disabled = True
            return
        self.query_one("#send", Button).focus()
        self.load(
            lambda: descendants(self.client, self.open_runs),
            self._show_children,
            "",
        )

    def _show_children(self, found: list[Run]) -> None:
        if found:
            head = f"and with {'it' if len(self.open_runs) == 1 else 'them'}:"
            self.query_one("#children", Say).say(
                line(Span(head, "dim")), *brief_lines(found, self.look)
            )

    def call(self) -> Callable[[], Sent] | None:
        """Cancel them in one command."""
        ids = [run.run_id for run in self.open_runs]
        reason = self.query_one("#reason", Input).value.strip() or None
        if not ids:
            return None

        def cancel() -> Sent:
            is_kept = not self.client.is_served()
            self.client.runs.cancel(ids, reason=reason)
            note = self.kept("cancel") if is_kept else ""
            return Sent("cancel", self.client.app, tuple(ids), note, is_kept)

        return cancel


def descendants(client: Client, runs: Sequence[Run], limit: int = 1000) -> list[Run]:
    """The unfinished runs of the same app that these have invoked or started."""
    known = {run.run_id for run in runs}
    found: list[Run] = []
    parents = list(known)
    while parents and len(found) < limit:
        page = client.runs.list(
            parent=parents[:500], status=UNFINISHED_RUN, limit=limit
        )
        parents = parents[500:]
        new = [run for run in page if run.run_id not in known]
        known.update(run.run_id for run in new)
        parents += [run.run_id for run in new]
        found += new
    return found


def brief_lines(runs: Sequence[Run], look: Look) -> list[Line]:
    """The first of some runs, a line each; how many more there are."""
    now = clock.now()
    lines = [line("  ", run_brief(run, look, now)) for run in runs[:_SHOWN]]
    if len(runs) > _SHOWN:
        lines.append(line(Span(f"  and {len(runs) - _SHOWN:,} more", "dim")))
    return lines
