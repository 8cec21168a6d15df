"""Labels, buttons and the style sheet that all plain widgets share.

Texts of runs and schemas are shown as text: no markup, no formulas, no control signs.
"""

import html
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib.resources import files
from typing import Any

import ipywidgets

from nbflow.model import safe_text, short
from nbflow.widgets.outputs import hear_everywhere

_LIMIT = 400
_FLAT = "margin:0;padding:0;white-space:pre;overflow-x:auto"
# JupyterLab would set what stands between dollar signs as a formula.
_NO_MATH = ("mathjax_ignore", "tex2jax_ignore")


def text_line(text: str) -> str:
    """Foreign text as one line that is safe to show; long ones are cut."""
    return short(text, _LIMIT)


def label(text: str = "", *classes: str) -> Any:
    """A text, shown as it is."""
    made = ipywidgets.Label(text_line(text))
    made._dom_classes = (*_NO_MATH, *classes)
    return made


def button(
    text: str, on_click: Callable[[], None], *classes: str, **traits: Any
) -> Any:
    """A button; `on_click` may be called in any thread."""
    made = ipywidgets.Button(description=text_line(text), **traits)
    made._dom_classes = classes
    made.on_click(lambda _: on_click())
    return made


def style() -> Any:
    """The style sheet, as a widget that shows nothing."""
    made = ipywidgets.HTML(f"<style>{_sheet()}</style>")
    made.layout.display = "none"
    return made


def make_menu(everything: str) -> Any:
    """A menu of names, of which the first entry stands for none."""
    return ipywidgets.Dropdown(
        options=[(everything, "")], tooltip=everything, layout={"width": "auto"}
    )


def offer(menu: Any, names: Iterable[str]) -> bool:
    """Give a menu other names; whether it has changed. What is chosen stays."""
    options = (menu.options[0], *((text_line(name), name) for name in names))
    if options == tuple(menu.options):
        return False
    chosen = menu.value
    menu.options = options
    if chosen in (value for _, value in options):
        menu.value = chosen
    return True


def set_role(widget: Any, classes: Iterable[str]) -> None:
    """Give a label its classes, in one message and only if they are other ones."""
    wanted = (*_NO_MATH, *classes)
    if widget._dom_classes != wanted:
        widget._dom_classes = wanted


def tree(widget: Any) -> Iterator[Any]:
    """A widget and all that it holds."""
    yield widget
    for child in getattr(widget, "children", ()):
        yield from tree(child)


def close_tree(*widgets: Any) -> None:
    """Close widgets with all that they hold: children, layouts and styles."""
    for widget in widgets:
        close_tree(*getattr(widget, "children", ()))
        parts = (getattr(widget, "layout", None), getattr(widget, "style", None))
        widget.close()
        for part in parts:
            if isinstance(part, ipywidgets.Widget):
                part.close()


def hear_while_busy(*widgets: Any) -> None:
    """Have messages of the widgets handled while a cell blocks the main thread."""
    for widget in widgets:
        for each in tree(widget):
            hear_everywhere(getattr(each, "comm", None))


def picture(lines: Iterable[str]) -> str:
    """Lines of text as HTML that says nothing else."""
    text = "\n".join(lines)
    return f'<pre style="{_FLAT}">{html.escape(safe_text(text, multiline=True))}</pre>'


@cache
def _sheet() -> str:
    return files("nbflow.widgets").joinpath("plain.css").read_text("utf-8")
