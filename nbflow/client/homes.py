"""Where homes are, and which apps have a store in them."""

from os import PathLike
from pathlib import Path

from nbflow._store import paths


def find_home(home: str | PathLike[str] | None = None) -> Path:
    """The `.nbflow` folder that a client would use; it need not exist.

    Args:
        home: the folder itself; else NBFLOW_HOME, else the nearest one upwards.
    """
    return paths.find_home(home)


def apps(home: Path) -> list[str]:
    """Names of the apps that have a store in this home, of whatever state.

    Raises:
        StoreError: the home may not be read.
    """
    return paths.apps(home)
