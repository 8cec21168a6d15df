"""The app that a workflow belongs to when nobody names one.

The stem of the notebook, else of the module or script, else `notebook`; made to fit
the rule for app names, because it is the name of a folder.
"""

import hashlib
import os
import re
import sys
import unicodedata
from collections.abc import Mapping
from pathlib import PurePath
from types import ModuleType
from typing import Any

FALLBACK = "notebook"
LIMIT = 128

_chosen: str | None = None
_MAIN = ("__main__", "__mp_main__")
_CUT = re.compile(r"[^A-Za-z0-9._-]+")


def default_app(module: str | None = None) -> str:
    """The app of what is defined in `module` (a function's `__module__`).

    In a Jupyter kernel it is the notebook's stem, whichever module defines: one
    kernel serves one app. Elsewhere it is the module's last name, for `__main__`
    that of the script; `notebook` when nothing is known.
    """
    if _chosen is not None:
        return _chosen
    stem = notebook_stem() or _module_stem(module or "__main__")
    return app_name(stem) if stem else FALLBACK


def choose_app(name: str | None) -> None:
    """Make `name` the app of all that is defined from here on; None: as before."""
    global _chosen
    _chosen = name


def notebook_stem() -> str | None:
    """The stem of the notebook this kernel runs, None outside or when unknown."""
    place = _notebook_place()
    return None if place is None else _stem(place) or None


def notebook_name() -> str | None:
    """The notebook this kernel runs, as the front end tells it: mostly its path.

    Two notebooks in different folders may have the same stem. None outside of kernels
    or when unknown.
    """
    return _notebook_place()


def source_file(module: str | None) -> str | None:
    """The notebook or `.py` file of a module, as an absolute path; None if unknown.

    Of a kernel's notebook it is known where the front end tells the whole path.
    """
    found = sys.modules.get(module or "")
    path = getattr(found, "__nbflow_path__", None)  # loaded by nbflow.notebook
    path = path or getattr(found, "__file__", None)
    if path is None and module in _MAIN:
        place = _notebook_place()
        path = place if place is not None and os.path.isabs(place) else None
    if not isinstance(path, str) or not path.endswith((".ipynb", ".py")):
        return None
    return os.path.abspath(path)


def app_name(text: str) -> str:
    """`text` as an app name: `[A-Za-z0-9][A-Za-z0-9._-]{0,127}`.

    A fitting name stays as it is; blanks become `-`. When more is lost, a short hash
    of the whole keeps apart what would look alike: `Café` gives `Cafe-73473d`.
    """
    text = unicodedata.normalize("NFC", text).strip()
    spaced = re.sub(r"\s+", "-", text)
    plain = unicodedata.normalize("NFKD", spaced).encode("ascii", "ignore").decode()
    slug = _CUT.sub("-", plain).lstrip("._-")
    if slug == spaced and 0 < len(slug) <= LIMIT:
        return slug
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:6]
    slug = slug.rstrip("._-")[: LIMIT - len(digest) - 1] or FALLBACK
    return f"{slug}-{digest}"


def _notebook_place() -> str | None:
    """What the front end calls this kernel's notebook: a path, or just its name."""
    space = _kernel_namespace()
    if space is None:
        return None
    for place in (os.environ.get("JPY_SESSION_NAME"), space.get("__vsc_ipynb_file__")):
        # Consoles and shared documents have session names that are no files.
        if isinstance(place, str) and place.endswith(".ipynb"):
            return place
    return None


def _kernel_namespace() -> Mapping[str, Any] | None:
    """The user's names when this process is a Jupyter kernel."""
    ipython = sys.modules.get("IPython")
    get = getattr(ipython, "get_ipython", None)
    shell = get() if callable(get) else None
    # A script started by a kernel inherits JPY_SESSION_NAME, but has no kernel.
    if shell is None or not hasattr(shell, "kernel"):
        return None
    space = getattr(shell, "user_ns", None)
    return space if isinstance(space, Mapping) else {}


def _module_stem(name: str) -> str | None:
    module = sys.modules.get(name)
    path = getattr(module, "__nbflow_path__", None)  # loaded by nbflow.notebook
    if isinstance(path, str):
        return _stem(path)
    if name in _MAIN:
        return _script_stem(module)
    parts = name.split(".")
    return parts[-2] if parts[-1] == "__main__" and len(parts) > 1 else parts[-1]


def _script_stem(module: ModuleType | None) -> str | None:
    spec = getattr(module, "__spec__", None)
    if spec is not None and spec.name not in _MAIN:  # python -m package
        return _module_stem(spec.name)
    path = getattr(module, "__file__", None)
    return _stem(path) if isinstance(path, str) else None


def _stem(place: str) -> str:
    return PurePath(place.replace("\\", "/")).stem
