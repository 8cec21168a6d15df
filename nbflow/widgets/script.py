"""Scripts and style sheets as they go to the browser.

Each view carries them: comments, indentation and the spaces of style sheets stay here.
None has a text over several lines, nor a comment after the first column; style sheets
have no texts with spaces.
"""

import re
from importlib.resources import files

_PLACES = {
    "keeper.js": ("pictures.js", "keeper.js"),
    "run_view.js": ("pictures.js", "run/run_view.js"),
    "run_view.css": ("run/run_view.css",),
}


def sent(name: str) -> str:
    """A file as it is sent; a script comes after what it shares with others."""
    folder = files("nbflow.widgets")
    texts = (folder.joinpath(part).read_text("utf-8") for part in _PLACES[name])
    lines = (line.strip("\t") for text in texts for line in text.splitlines())
    kept = "\n".join(line for line in lines if line and not _is_comment(line))
    if name.endswith(".css"):
        return re.sub(r" ?([{};,]) ?", r"\1", kept).replace(": ", ":")
    return kept


def _is_comment(line: str) -> bool:
    return line.startswith(("//", "/*", " *"))
