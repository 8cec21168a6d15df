"""What the client tells its user beside results: warnings at the user's own line."""

import sys
import warnings
from pathlib import Path

_PACKAGE = str(Path(__file__).parents[1]) + "/"


def warn(message: str) -> None:
    """Issue a UserWarning that points at the caller outside of nbflow."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
        level += 1
    warnings.warn(message, UserWarning, stacklevel=level)
