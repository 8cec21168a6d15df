"""A widget that shows nothing: it keeps the picture of another one in the page.

What it does there is said in `pictures.js`. Where its script does not run, a saved
notebook holds the widget as other libraries' do.
"""

import anywidget
import traitlets

from nbflow.widgets import outputs
from nbflow.widgets.script import sent


class Keeper(anywidget.AnyWidget):
    """The picture of a widget in outputs.

    Args:
        of: the model id of the widget.
        html: the picture.
        text: the same in one line.
    """

    _esm = sent("keeper.js")

    of = traitlets.Unicode().tag(sync=True)
    html = traitlets.Unicode().tag(sync=True)
    text = traitlets.Unicode().tag(sync=True)

    def __init__(self, of: str, html: str, text: str) -> None:
        super().__init__(of=of, html=html, text=text)
        outputs.hear_everywhere(self.comm)

    def redraw(self, html: str, text: str) -> None:
        """Keep another picture."""
        if (html, text) != (self.html, self.text):
            with self.hold_sync():
                self.html, self.text = html, text

    def close(self) -> None:
        """Leave the picture in the outputs that still show the widget."""
        layout = self.layout
        super().close()
        layout.close()
