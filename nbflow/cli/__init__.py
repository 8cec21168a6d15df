"""The command line: `nbflow run notebook.ipynb -i n=3`, `nbflow runs`, …

`parser` reads the arguments; a command's module is imported when it is called, so
that `nbflow --help` costs nothing. Exit codes: 0 completed, 1 failed or canceled,
2 usage.
"""

import os
import sys
from collections.abc import Sequence

from nbflow.cli.parser import make_parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; its exit code.

    Args:
        argv: the arguments; those of the process if None.
    """
    try:
        options = make_parser().parse_args(argv)
    except SystemExit as leaving:  # argparse has told what is wrong
        return int(leaving.code or 0)
    from nbflow.cli.commands import dispatch

    try:
        code = dispatch(options)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read the output has left, as `head` does.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    return code
