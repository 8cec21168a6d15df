"""numpy, pandas, polars and pyarrow, when they are there; never needed otherwise."""

import importlib
import sys
from typing import Any

from nbflow.codecs._walk import Missing

_KNOWN = frozenset({"numpy", "pandas", "polars", "pyarrow"})


def library_of(kind: type) -> str | None:
    """Which of the libraries a class says it comes from, if that is loaded."""
    module = type.__getattribute__(kind, "__module__")
    root = module.partition(".")[0] if isinstance(module, str) else ""
    return root if root in _KNOWN and root in sys.modules else None


def library(name: str, reading: str) -> Any:
    """Import one of the libraries, to read a stored `reading`; `Missing` without it."""
    if name not in _KNOWN:
        raise Missing(reading)
    try:
        return importlib.import_module(name)
    except ImportError:
        raise Missing(reading) from None
