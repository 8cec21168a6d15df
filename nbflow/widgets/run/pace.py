"""When a view sends: pure decisions over what it knows of its browser."""

from dataclasses import dataclass

FAST = 0.1
"""Seconds between two messages of a view in sight."""
SLOW = 0.5
"""The same for one out of sight."""
LONGEST = 2.0
RECOVERY = 10.0


@dataclass(slots=True)
class Pace:
    """How often one view may send.

    Before the browser has said hello, never: the snapshot is all it gets.
    """

    is_there: bool = False
    is_visible: bool = True
    sent: float = float("-inf")
    factor: float = 1.0
    slowed: float = float("-inf")

    def interval(self, visible: int, hidden: int) -> float:
        """Seconds between two messages, so that all views together send at most 100.

        Args:
            visible: how many views are in sight.
            hidden: how many are not.
        """
        if self.is_visible:
            base = max(FAST, visible * (0.0125 if hidden else 0.01))
        else:
            base = max(SLOW, hidden * 0.05)
        return base if self.factor == 1 else max(base, min(base * self.factor, LONGEST))

    def due(self, visible: int, hidden: int) -> float:
        """From when on the next message may be sent."""
        if not self.is_there:
            return float("inf")
        return self.sent + self.interval(visible, hidden)

    def lag(self, now: float) -> None:
        """Messages arrive late: send half as many."""
        self.factor = min(self.factor * 2, LONGEST / FAST)
        self.slowed = now

    def note_sent(self, now: float) -> None:
        """A message was sent; after a while without complaint, more again."""
        self.sent = now
        if self.factor > 1 and now - self.slowed >= RECOVERY:
            self.factor = max(self.factor / 2, 1.0)
            self.slowed = now
