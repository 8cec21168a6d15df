"""`%config NBFlow.…`: what a user can set for the magics of a shell."""

import copy
from typing import Any

from traitlets import Bool, Enum, TraitError, Unicode, observe, validate
from traitlets.config import Config, Configurable

from nbflow import names
from nbflow.definition import apps
from nbflow.errors import InvalidName
from nbflow.model import safe_text


class NBFlow(Configurable):
    """Settings of nbflow's magics; `%config NBFlow` lists them."""

    app = Unicode(
        "",
        help="The app of workflows defined from here on; empty: the notebook's name.",
    ).tag(config=True)
    view = Enum(
        ("live", "static", "none"),
        "live",
        help="How runs are shown, unless --view says otherwise.",
    ).tag(config=True)
    unfinished = Enum(
        ("ask", "resume"),
        "ask",
        help="What happens to unfinished runs of an ended kernel when their workflow "
        "is defined: one line says how to resume or cancel them, or they are resumed.",
    ).tag(config=True)
    on_interrupt = Enum(
        ("cancel", "leave"),
        "cancel",
        help="What an interrupt does to the run that the cell waits for.",
    ).tag(config=True)
    short_errors = Bool(
        True, help="Show the user's own frames only, not those of nbflow."
    ).tag(config=True)

    @classmethod
    def of(cls, shell: Configurable) -> "NBFlow":
        """The settings of a shell, as far as its configuration holds usable ones.

        The others are taken out of it, and a line says so: `%config` leaves a value
        there that it has refused, and a file may hold any.
        """
        given = shell.config.get(cls.__name__, {})
        for name in list(given):
            try:
                cls(config=Config({cls.__name__: {name: given[name]}}))
            except TraitError as error:
                print(
                    safe_text(f"NBFlow.{name} as it is configured is not used: {error}")
                )
                del given[name]
        return cls(parent=shell)

    def update_config(self, config: Any) -> None:
        """Take new values; a bad one leaves all as it was."""
        before = copy.deepcopy(self.config)
        try:
            super().update_config(config)
        except TraitError:
            # Else it would be tried again with every later change.
            self.config = before
            raise

    @validate("app")
    def _check_app(self, proposal: Any) -> str:
        name: str = proposal["value"]
        if name:
            try:
                names.check_app(name)
            except InvalidName as error:
                raise TraitError(str(error)) from None
        return name

    @observe("app")
    def _choose_app(self, change: Any) -> None:
        apps.choose_app(change["new"] or None)
