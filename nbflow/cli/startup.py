"""The start of the program.

What it imports stays as long as it runs, so it is kept out of garbage collection: a
tenth of a short command would go into looking through it, most of that at its end.
"""

import gc
from collections.abc import Sequence

from nbflow.cli import main


def program(argv: Sequence[str] | None = None) -> int:
    """Run the command line as the only thing of its process; the exit code."""
    gc.disable()  # until `settle`
    return main(argv)


def settle() -> None:
    """Begin with garbage collection: what the command needs is imported.

    Does nothing where another program has called the command line: what is there may
    be that program's garbage.
    """
    if not gc.isenabled():
        gc.freeze()
        gc.enable()
