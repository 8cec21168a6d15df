"""The script and the style sheet of the run's view, as they go to the browser.

Each view carries them, and a saved notebook may hold many: comments and indentation
stay here. Neither has a text over several lines, nor a comment after the first column.
"""

from pathlib import Path

_FOLDER = Path(__file__).parent


def sent(name: str) -> str:
    """A file of this folder without lines of comment, blank lines and indentation."""
    lines = (_FOLDER / name).read_text("utf-8").splitlines()
    stripped = (line.strip("\t") for line in lines)
    return "\n".join(line for line in stripped if line and not _is_comment(line))


def _is_comment(line: str) -> bool:
    return line.startswith(("//", "/*", " *"))
