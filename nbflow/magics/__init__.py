"""IPython's side of nbflow: `%load_ext nbflow`, `%%workflow`, `%workflow`, `%nbflow`.

`extension` puts it into a shell, whose `session` the others work on; `line` are the
magics, which only read their line and hand over to `cell` and `verbs`.
"""

from IPython.core.interactiveshell import InteractiveShell

from nbflow.magics.extension import load, unload

__all__ = ["load_ipython_extension", "unload_ipython_extension"]


def load_ipython_extension(ip: InteractiveShell) -> None:
    """`%load_ext nbflow`: register the magics; prints nothing, twice is as once."""
    load(ip)


def unload_ipython_extension(ip: InteractiveShell) -> None:
    """`%unload_ext nbflow`: take the magics away; runs go on."""
    unload(ip)
