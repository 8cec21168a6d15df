"""What statuses of steps have in common: which failed, work, rest; which tells most.

Every list that picks statuses is here: a new one is put into each of them once.
Neighbour: `words` has their signs, words and roles.
"""

from nbflow.model import TERMINAL_STEP, StepStatus

FAILED = frozenset({StepStatus.FAILED, StepStatus.TIMED_OUT})
BUSY = frozenset({StepStatus.RUNNING, StepStatus.RETRYING, StepStatus.INVOKING})
IDLE = frozenset({StepStatus.QUEUED, StepStatus.SLEEPING, StepStatus.WAITING})

WAITS = frozenset({StepStatus.SLEEPING, StepStatus.WAITING, StepStatus.INVOKING})
"""What does not begin again when its run is resumed: it goes on."""

TELLING_OPEN = (
    StepStatus.RUNNING,
    StepStatus.RETRYING,
    StepStatus.INVOKING,
    StepStatus.WAITING,
    StepStatus.SLEEPING,
    StepStatus.QUEUED,
)
"""Without outcome; of many steps the first of these says most."""

TELLING_ENDED = (StepStatus.FAILED, StepStatus.TIMED_OUT, StepStatus.CANCELED)
"""With an outcome that is none to be expected, in that order."""

PRESSING = (
    StepStatus.WAITING,
    StepStatus.RETRYING,
    StepStatus.SLEEPING,
    StepStatus.INVOKING,
    StepStatus.RUNNING,
    StepStatus.QUEUED,
)
"""Without outcome; what keeps a run comes before what goes on by itself."""

LETTERS = {
    StepStatus.QUEUED: "q",
    StepStatus.RUNNING: "r",
    StepStatus.RETRYING: "b",
    StepStatus.SLEEPING: "s",
    StepStatus.WAITING: "w",
    StepStatus.INVOKING: "i",
}
"""How a piece of a step's bar is drawn, in the monitor and in notebooks."""

_OPEN = set(StepStatus) - TERMINAL_STEP
assert {*BUSY, *IDLE} == _OPEN == set(TELLING_OPEN) == set(PRESSING) == set(LETTERS)
assert {*TELLING_ENDED, StepStatus.COMPLETED} == TERMINAL_STEP
