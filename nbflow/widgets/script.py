"""Scripts and style sheets as they go to the browser.

Each view carries its own as one text. The modules that a script imports come before it,
in one scope: no two have a name in common, and what is not exported by default is for
them alone. Comments, indentation, spaces of style sheets and ends of lines that say
nothing stay here.

None has a text over several lines or with " // " in it; style sheets have no texts with
spaces.
"""

import re
from importlib.resources import files
from posixpath import dirname, join, normpath

_IMPORT = re.compile(r'^import \{[\w, ]+\} from "(.+)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?!default )", re.MULTILINE)
_COMMENT = re.compile(r"^(//|/\*| \*).*| // .*")


def sent(path: str) -> str:
    """A file of this folder as it is sent, a script with all that it imports."""
    if path.endswith(".js"):
        texts = (_IMPORT.sub("", text) for text in modules(path).values())
        whole = "\n".join(_bare(_EXPORT.sub("", text)) for text in texts)
        return re.sub(r"(?<=[{([,;])\n", "", whole)
    return re.sub(r"\s*([{};,])\s*", r"\1", _bare(_text(path))).replace(": ", ":")


def modules(path: str) -> dict[str, str]:
    """The texts of a script and of all that it imports: each after what it needs."""
    found: dict[str, str] = {}
    seen: set[str] = set()

    def add(path: str) -> None:
        if path in seen:
            return
        seen.add(path)
        text = _text(path)
        for other in _IMPORT.findall(text):
            add(normpath(join(dirname(path), other)))
        found[path] = text

    add(path)
    return found


def _text(path: str) -> str:
    return files("nbflow.widgets").joinpath(path).read_text("utf-8")


def _bare(text: str) -> str:
    lines = (_COMMENT.sub("", line.strip("\t")) for line in text.splitlines())
    return "\n".join(line for line in lines if line)
