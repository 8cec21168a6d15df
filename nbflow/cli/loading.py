"""Loads a target and tells what the loader has to say."""

from typing import Any

from nbflow.cli import failures
from nbflow.cli.displays import Display
from nbflow.engine import shutdown
from nbflow.errors import NotebookError
from nbflow.model import safe_text


def load(target: str, display: Display, *, every: bool = False) -> Any:
    """Load a target; with `every`, all workflows of a notebook.

    Runs that a script starts itself, without `if __name__ == "__main__":`, end with
    its last line or stay resumable, as under Python: the app's engine is the command's.

    Raises:
        NotebookError: as `load_target`; the user's frames were shown before.
    """
    from nbflow.notebook import load_target

    try:
        loaded = load_target(target, every=every)
    except NotebookError as error:
        cause = error.__cause__
        if cause is not None and isinstance(cause, Exception):
            frames = failures.user_frames(cause)
            display.note(safe_text(frames, multiline=True))
        raise
    shutdown()
    for warning in loaded.warnings:
        display.note(f"nbflow: {warning}")
    return loaded
