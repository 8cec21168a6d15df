"""A value as messages show it."""

from typing import Any


def show(value: Any, limit: int = 80) -> str:
    """A short `repr`, of at most `limit` characters, whatever the value does."""
    try:
        text = repr(value)
    except Exception as error:  # a value that cannot show itself
        text = f"<{type(value).__name__}, whose repr raises {type(error).__name__}>"
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
