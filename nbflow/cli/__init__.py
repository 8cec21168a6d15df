"""The command line: `nbflow run notebook.ipynb -i n=3`, `nbflow runs`, …

`parser` reads the arguments; a command's module is imported when it is called, so
that `nbflow --help` costs nothing. Exit codes: 0 completed, 1 failed or canceled,
2 usage.
"""

import errno
import os
import sys
from collections.abc import Sequence

from nbflow.cli.parser import make_parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; its exit code.

    Args:
        argv: the arguments; those of the process if None.
    """
    _open_streams()
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
        return _drop_output()
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EIO):
            raise
        print(f"nbflow: the output cannot be written: {error}", file=sys.stderr)
        return _drop_output()
    return code


def _open_streams() -> None:
    """Give closed standard streams an end, as under `>&-` and some services."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            nowhere = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
            setattr(sys, name, nowhere)


def _drop_output() -> int:
    """Let what is still buffered go nowhere; the exit code."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return 1
