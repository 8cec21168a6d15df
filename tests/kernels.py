"""Real kernels for tests, on sockets of their own.

Over TCP a kernel takes ports that were free a moment ago: with tests side by side,
another one may have them by then, and the kernel is never heard of.
"""

import shutil
import tempfile
from atexit import register
from pathlib import Path
from typing import Any

from jupyter_client.manager import KernelManager
from nbclient import NotebookClient
from traitlets.config import Config


def manager() -> KernelManager:
    """A manager of a kernel that is not started yet."""
    return KernelManager(transport="ipc", ip=_socket())


def executor(notebook: Any, **options: Any) -> NotebookClient:
    """What executes a notebook as nbconvert and papermill do."""
    settings = Config({"KernelManager": {"transport": "ipc", "ip": _socket()}})
    return NotebookClient(notebook, config=settings, **options)


def _socket() -> str:
    folder = tempfile.mkdtemp(prefix="nbflow-")  # short: the system allows 107 bytes
    register(shutil.rmtree, folder, ignore_errors=True)
    return str(Path(folder) / "kernel")
