"""Standard output and terminals: what they can show, and JSON for them."""

import os
import shutil
import sys
from collections.abc import Iterable
from typing import Any, TextIO

from nbflow.view import Line, Look, paint
from nbflow.view.values import to_json as to_json


def look_of(stream: TextIO) -> Look:
    """What a stream can show: signs of Unicode, colours."""
    encoding = (getattr(stream, "encoding", None) or "").lower().replace("-", "")
    unicode = encoding.startswith("utf") and os.environ.get("TERM") != "linux"
    if os.environ.get("FORCE_COLOR"):
        return Look(unicode, True)
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return Look(unicode, bool(stream.isatty() and not plain))


def size_of(stream: TextIO) -> tuple[int, int]:
    """Columns and lines of the terminal behind a stream."""
    try:
        found = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        found = shutil.get_terminal_size()
    if found.columns <= 0 or found.lines <= 0:
        found = shutil.get_terminal_size()
    return found.columns, found.lines


def write_lines(lines: Iterable[Line]) -> None:
    """Print lines, cut to the terminal; whole where there is none."""
    stream = sys.stdout
    look = look_of(stream)
    width = size_of(stream)[0] if stream.isatty() else None
    for each in lines:
        write(paint(each, look, width).rstrip() + "\n")


def write(text: str) -> None:
    """Write to standard output, in whatever encoding it has."""
    put(sys.stdout, text)


def put(stream: TextIO, text: str) -> None:
    """Write text; characters that the stream cannot show are escaped."""
    try:
        stream.write(text)
    except UnicodeEncodeError:
        encoding = stream.encoding or "ascii"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))


def write_json(value: Any) -> None:
    """Print a value as JSON: indented for a person, in one line for a program."""
    write(to_json(value, indent=2 if sys.stdout.isatty() else None) + "\n")
