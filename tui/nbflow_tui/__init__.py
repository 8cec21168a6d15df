"""The terminal monitor, on Textual: `nbflow tui`.

It reads the stores of a home and acts through `nbflow.client`; what it draws is
computed by `nbflow.view`, which the text snapshot shares. `app` puts it together.
"""
