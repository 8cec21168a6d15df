"""What the monitor does: boxes that make one call of the client each.

Imported when the first one is opened: text editors cost the first paint 50 ms.
"""

from nbflow_tui.dialogs.answer import AnswerDialog
from nbflow_tui.dialogs.base import Dialog, Say
from nbflow_tui.dialogs.cancel import CancelDialog
from nbflow_tui.dialogs.invoke import InvokeDialog
from nbflow_tui.dialogs.rerun import RerunDialog
from nbflow_tui.dialogs.resume import ResumeDialog
from nbflow_tui.dialogs.resume_several import ResumeSeveralDialog
from nbflow_tui.dialogs.save import SaveDialog
from nbflow_tui.dialogs.send import SendDialog
from nbflow_tui.dialogs.textbox import TextBox

__all__ = [
    "AnswerDialog",
    "CancelDialog",
    "Dialog",
    "InvokeDialog",
    "RerunDialog",
    "ResumeDialog",
    "ResumeSeveralDialog",
    "SaveDialog",
    "Say",
    "SendDialog",
    "TextBox",
]
