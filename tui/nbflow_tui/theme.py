"""The monitor's own colours, dark and light; any theme of Textual's works as well."""

from textual.theme import BUILTIN_THEMES, Theme

DARK = Theme(
    name="nbflow-dark",
    primary="#5fc9d8",
    secondary="#7aa2e3",
    accent="#c792d6",
    success="#7fbf7f",
    warning="#d9b45b",
    error="#ec6a6a",
    foreground="#c9d1d9",
    background="#101419",
    surface="#161b22",
    panel="#1c232c",
    dark=True,
)
LIGHT = Theme(
    name="nbflow-light",
    primary="#0b7285",
    secondary="#2f5db3",
    accent="#8a3ea3",
    success="#2b7a3f",
    warning="#8a5a00",
    error="#c22f2f",
    foreground="#1f2933",
    background="#fbfbf9",
    surface="#f1f1ee",
    panel="#e7e7e2",
    dark=False,
)
OWN = (DARK, LIGHT)

ANSI, ANSI_LIGHT = "ansi-dark", "ansi-light"
"""The sixteen colours that the terminal's user has chosen."""
_SHORT = {"dark": DARK.name, "light": LIGHT.name, "ansi": ANSI}


def theme_names() -> list[str]:
    """What can be asked for: the monitor's own first."""
    return [*_SHORT, *sorted(BUILTIN_THEMES)]


def full_name(name: str) -> str:
    """How Textual calls a theme."""
    return _SHORT.get(name, name)
