"""The kernel that this process may be: its front end, its cells, their outputs."""

import sys
import time
from collections.abc import Mapping
from typing import Any

_idle_since: float | None = None
_watched: Any = None


def kernel_shell() -> Any:
    """The shell of the Jupyter kernel that this process is; None outside of one."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return shell if hasattr(shell, "kernel") else None


def is_interactive(shell: Any) -> bool:
    """Whether a person may be looking: the front end of the cell can ask for input.

    nbclient, papermill and nbconvert say that they cannot.
    """
    content = _request(shell).get("content")
    if isinstance(content, Mapping) and "allow_stdin" in content:
        return bool(content["allow_stdin"])
    return bool(getattr(shell.kernel, "_allow_stdin", False))


def cell_id(shell: Any) -> str | None:
    """The id of the cell that is executed, where the front end tells."""
    metadata = _request(shell).get("metadata")
    found = metadata.get("cellId") if isinstance(metadata, Mapping) else None
    return found if isinstance(found, str) else None


def request_id(shell: Any) -> str | None:
    """What tells one execution of a cell from the next."""
    header = _request(shell).get("header")
    found = header.get("msg_id") if isinstance(header, Mapping) else None
    return found if isinstance(found, str) else None


def cell_name(file: str) -> str | None:
    """The cell that a file of this kernel's code is: "In[5]"; None for other files."""
    shell = kernel_shell()
    name = None if shell is None else shell.compile.format_code_name(file)
    return None if name is None else str(name[1])


def publish(shell: Any, data: Mapping[str, Any], id: str, *, update: bool) -> None:
    """Send an output, or replace the one that has the id."""
    shell.display_pub.publish(
        data=dict(data), metadata={}, transient={"display_id": id}, update=update
    )


def watch_cells(shell: Any) -> None:
    """Note from now on when cells begin and end; called while one is executed."""
    global _watched, _idle_since
    if _watched is not shell:
        _watched, _idle_since = shell, None
        shell.events.register("pre_execute", _begun)
        shell.events.register("post_execute", _ended)


def idle_since() -> float | None:
    """Since when no cell is executed (monotonic); None while one is.

    Until then a kernel may be deaf to its front end.
    """
    return _idle_since


def hear_everywhere(comm: Any) -> None:
    """Take messages in whatever thread of the kernel is free.

    ipykernel sends those of a comm to the one that used it last, which may be blocked
    by a cell, although the front end has opened a thread for them.
    """
    if hasattr(comm, "_reply_subshell_for"):
        comm._reply_subshell_for = lambda data, default: default


def _begun() -> None:
    global _idle_since
    _idle_since = None


def _ended() -> None:
    global _idle_since
    _idle_since = time.monotonic()


def _request(shell: Any) -> Mapping[str, Any]:
    found = shell.get_parent()
    return found if isinstance(found, Mapping) else {}
