"""Go on with several runs at once: one word of the user for all that are marked."""

from collections.abc import Callable, Iterable, Sequence

from textual.widget import Widget
from textual.widgets import Button

from nbflow.client import Client
from nbflow.errors import NbflowError
from nbflow.model import Run
from nbflow.view import Look, plural
from nbflow_tui.dialogs.base import Dialog, Say
from nbflow_tui.dialogs.cancel import brief_lines
from nbflow_tui.pending import Sent


class ResumeSeveralDialog(Dialog):
    """Resume runs of one app, each from where it stopped.

    Args:
        client: of their app.
        runs: those that can go on.
        left: how many of those that were chosen cannot.
        look: what the terminal can show.
    """

    def __init__(
        self,
        client: Client,
        runs: Sequence[Run],
        left: int = 0,
        look: Look | None = None,
    ) -> None:
        count = plural(len(runs), "run")
        super().__init__(client, f"Resume {count} of {client.app}")
        self.send_label = f"Resume {count}"
        self.runs = list(runs)
        self.left = left
        self.look = look or Look()

    def body(self) -> Iterable[Widget]:
        """The runs, and what will be kept."""
        yield Say(*brief_lines(self.runs, self.look), classes="rows")
        if self.left:
            are = "is" if self.left == 1 else "are"
            yield Say(
                f"{plural(self.left, 'run')} of those chosen {are} neither failed nor "
                "canceled: left alone.",
                classes="note",
            )
        yield Say(
            "Finished steps are kept. To run some of them afresh, resume one by one.",
            classes="note caption",
        )

    def start(self) -> None:
        """Enter resumes."""
        self.query_one("#send", Button).focus()

    def call(self) -> Callable[[], Sent] | None:
        """Resume one after the other; what is refused does not keep the others."""
        runs = self.runs

        def resume() -> Sent:
            is_kept = not self.client.is_served()
            refused: list[NbflowError] = []
            taken: list[Run] = []
            for run in runs:
                try:
                    self.client.runs.resume(run.run_id)
                except NbflowError as error:
                    refused.append(error)
                else:
                    taken.append(run)
            if not taken:
                raise refused[0]
            notes = [self.kept("resume")] if is_kept else []
            if refused:
                notes.append(
                    f"{len(refused):,} of {plural(len(runs), 'run')} cannot go on: "
                    f"{refused[0]}"
                )
            return Sent(
                "resume",
                self.client.app,
                tuple(run.run_id for run in taken),
                "; ".join(notes),
                is_kept,
                endings={run.run_id: run.ended_at for run in taken},
            )

        return resume
