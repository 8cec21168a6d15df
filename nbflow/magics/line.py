"""The magics themselves: they read their line, and hand over."""

import sys
from collections.abc import Callable
from typing import Any

from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import (
    Magics,
    cell_magic,
    line_magic,
    magics_class,
    no_var_expand,
)
from IPython.core.magic_arguments import argument, kwds, magic_arguments

from nbflow._notices import told_to
from nbflow.errors import NbflowError, NotebookError, RunFailed
from nbflow.magics import cell, tracebacks, verbs
from nbflow.magics.session import Session
from nbflow.magics.tracebacks import CellSyntaxError
from nbflow.model import safe_text
from nbflow.notebook.options import OPTIONS

# IPython's decorators come without usable types.
_no_expand: Any = no_var_expand
_cell_magic: Any = cell_magic
_line_magic: Any = line_magic

_CELL = """\
Define a workflow in a cell, and start runs of it.

    %%workflow NAME[(PARAMS)] [-> TYPE] [options]

The cell is the workflow's body, with `ctx` and the parameters in scope; or it holds a
function called NAME, or functions with @workflow (then without NAME).

    %%workflow nightly(n: int = 2) -> int --wait -i n=5
    pages = await ctx.map("fetch", fetch, range(n))
    return sum(pages)
"""


def _options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options as IPython's `magic_arguments` wants them, for `%%workflow?`."""
    function = kwds(description=_CELL)(function)
    for option in reversed(OPTIONS):
        function = argument(*option.flags, **option.keywords)(function)
    made: Callable[..., Any] = magic_arguments("%workflow")(function)
    return made


@magics_class
class WorkflowMagics(Magics):
    """`%%workflow`, `%workflow` and `%nbflow`."""

    def __init__(self, shell: InteractiveShell, session: Session) -> None:
        super().__init__(shell)
        self._session = session

    @_no_expand
    @_cell_magic("workflow")
    @_options
    def define(self, line: str, body: str) -> Any:
        """Define a workflow."""
        return self._call(
            "%%workflow", lambda: cell.run_cell(self._session, line, body)
        )

    @_no_expand
    @_line_magic("workflow")
    def do(self, line: str) -> Any:
        return self._call("%workflow", lambda: verbs.call(self._session, line))

    @_no_expand
    @_line_magic("nbflow")
    def nbflow(self, line: str) -> Any:
        """Settings of this notebook: `%nbflow app NAME` names its app."""
        return self._call("%nbflow", lambda: verbs.nbflow_line(self._session, line))

    def _call(self, name: str, work: Callable[[], Any]) -> Any:
        """Do the work; whatever goes wrong fails the cell, in the user's terms."""
        try:
            with told_to(_say):
                return work()
        except (UsageError, CellSyntaxError):
            raise
        except NotebookError as error:
            raise UsageError(f"{name}: {error}") from None
        except RunFailed:
            raise
        except NbflowError as error:
            wrong = error
            if self._session.settings.short_errors:
                tracebacks.show_as(error, lambda: tracebacks.brief(wrong))
            raise
        except (Exception, KeyboardInterrupt) as error:  # code of the cell
            if tracebacks.is_told(error):  # by the wait that was interrupted
                raise
            raised, frames = error, error.__traceback__  # those below the magic
            if self._session.settings.short_errors:
                tracebacks.show_as(error, lambda: tracebacks.user_view(raised, frames))
            raise


def _say(notice: str) -> None:
    """Show what would be a warning: its line would be one of IPython's."""
    print(safe_text(notice), file=sys.stderr)


WorkflowMagics.do.__doc__ = verbs.HELP
