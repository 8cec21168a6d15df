"""What users hold of an app: `Client`, and `RunHandle` for one run."""

from nbflow.client.client import Client
from nbflow.client.handle import RunHandle
from nbflow.client.stream import EventList, Stream
from nbflow.client.workflows import WaitResult, WorkflowInfo

__all__ = [
    "Client",
    "EventList",
    "RunHandle",
    "Stream",
    "WaitResult",
    "WorkflowInfo",
]
