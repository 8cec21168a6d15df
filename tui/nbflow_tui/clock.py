"""The time that the monitor shows things at; tests give it another."""

import datetime as dt


def now() -> dt.datetime:
    """The present time, aware, in UTC."""
    return dt.datetime.now(dt.UTC)
