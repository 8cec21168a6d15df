"""A page in a real Chromium that shows the run view, with a model of our own.

The model's object is the seam of anywidget: `get`, `on`, `off`, `send`. What the kernel
would send is put in with `tell`, what the view sends is read with `sent`.
"""

from importlib.resources import files
from typing import Any

from nbflow.widgets.script import sent

START = 1_800_000_000_000  # the kernel's clock when the runs of the tests start

MODULES = "modules/"  # where the page finds the modules as they are

PAGE = """<!doctype html><meta charset="utf-8"><title>run view</title>
<link rel="stylesheet" href="run_view.css"><body><div id="cell"></div>"""

MODEL = """
class Model {
  constructor(snapshot) { this.state = {snapshot}; this.sent = []; this.known = []; }
  get(name) { return this.state[name]; }
  on(name, call) { this.known.push([name, call]); }
  off(name, call) {
    this.known = this.known.filter(([n, c]) => n !== name || c !== call);
  }
  send(message) { this.sent.push(JSON.parse(JSON.stringify(message))); }
  emit(name, ...args) {
    for (const [n, call] of [...this.known]) if (n === name) call(...args);
  }
}
window.show = async (snapshot, script) => {
  const module = await import(script);
  window.model = new Model(snapshot);
  const widget = module.default();
  await widget.initialize({model: proxy(window.model)});
  window.render = (el) => widget.render({model: proxy(window.model), el});
  window.clean = await window.render(document.getElementById("cell"));
  await drawn();
};
// anywidget gives initialize and render proxies of their own.
const proxy = (model) => ({
  get: model.get.bind(model), on: model.on.bind(model), off: model.off.bind(model),
  send: model.send.bind(model), widget_manager: manager,
});
window.manager = {};
window.drawn = () => new Promise((done) =>
  requestAnimationFrame(() => requestAnimationFrame(() => done())));
window.tell = async (messages) => {
  for (const message of messages) window.model.emit("msg:custom", message, []);
  await drawn();
};
"""


def head(**changes: Any) -> dict[str, Any]:
    """The head of a run that has been running for 12 s."""
    return {
        "run_id": "r-7f3a21",
        "app": "notebook",
        "workflow": "nightly",
        "label": None,
        "status": "running",
        "attempt": 1,
        "queued": START - 200,
        "started": START,
        "ended": None,
        "due": None,
        "counts": {},
        "total": 0,
        "progress": None,
        "error": None,
        "text": None,
        "waiting": [],
        "problem": None,
        "can": ["cancel"],
        "questions": [],
        "engine": "live",
    } | changes


def row(
    id: int,
    name: str,
    status: str = "completed",
    *,
    parent: int = 0,
    kind: str = "run",
    attempt: int = 1,
    queued: int | None = None,
    started: int | None = 0,
    ended: int | None = 1000,
    due: int | None = None,
    text: str | None = None,
    flags: str = "",
    spans: list[list[Any]] | None = None,
    counts: list[int | None] | None = None,
    run: str | None = None,
) -> list[Any]:
    """A row; times are milliseconds since the start of the run."""

    def at(time: int | None) -> int | None:
        return None if time is None else START + time

    moved = None if spans is None else [[k, at(a), at(b)] for k, a, b in spans]
    return [
        *(id, parent, kind, name, status, attempt, at(queued), at(started), at(ended)),
        *(at(due), text, flags, moved, counts, run),
    ]


def snapshot(
    rows: list[list[Any]],
    *,
    now: int = 12_000,
    seq: int = 1,
    log: list[list[Any]] | None = None,
    id: str = "m",
    **of_head: Any,
) -> dict[str, Any]:
    """All of a view."""
    counts: dict[str, int] = {}
    for each in rows:
        if each[2] not in ("map", "group"):
            counts[each[4]] = counts.get(each[4], 0) + 1
    total = sum(counts.values())
    for kind, held in ((each[2], each[13]) for each in rows):
        if kind == "map" and held[4]:
            total += held[4] - sum(held[:4])
    of_head = {"counts": counts, "total": total} | of_head
    return {
        "v": 1,
        "seq": seq,
        "now": START + now,
        "head": head(**of_head),
        "rows": rows,
        "log": log or [],
        "id": id,
    }


class RunPage:
    """What tests do with the view on the page."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.problems: list[str] = []
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on(
            "console",
            lambda said: self.problems.append(said.text) if said.type == "error" else 0,
        )
        page.route("http://localhost/**", self._serve)
        page.goto("http://localhost/page.html")
        page.add_script_tag(content=MODEL)

    @staticmethod
    def _serve(route: Any) -> None:
        name = route.request.url.removeprefix("http://localhost/")
        script, style = "text/javascript", "text/css"
        if name == "page.html":
            route.fulfill(content_type="text/html", body=PAGE)
        elif name == "run_view.js":
            route.fulfill(content_type=script, body=sent(f"run/{name}"))
        elif name == "run_view.css":
            route.fulfill(content_type=style, body=sent(f"run/{name}"))
        elif name.startswith(MODULES):
            module = files("nbflow.widgets").joinpath(name.removeprefix(MODULES))
            route.fulfill(content_type=script, body=module.read_text("utf-8"))
        else:
            route.fulfill(status=204)

    def show(
        self, rows: list[list[Any]], script: str = "run_view.js", **more: Any
    ) -> None:
        """Show a run, by the script as it is sent if by no other."""
        self.page.evaluate("a => show(...a)", [snapshot(rows, **more), f"./{script}"])

    def ask(self, module: str, expression: str, value: Any = None) -> Any:
        """What a function of `m`, a module of the script, and of `x` returns."""
        path = f"./{MODULES}run/script/{module}"
        script = f"([path, x]) => import(path).then((m) => {expression})"
        return self.page.evaluate(script, [path, value])

    def tell(self, *messages: dict[str, Any]) -> None:
        """Messages of the kernel; drawn when this returns."""
        self.page.evaluate("m => tell(m)", list(messages))

    def delta(
        self, seq: int, *rows: list[Any], now: int = 12_000, **more: Any
    ) -> dict[str, Any]:
        return {"t": "d", "seq": seq, "now": START + now, "rows": list(rows), **more}

    def sent(self, kind: str) -> list[dict[str, Any]]:
        """What the view has sent."""
        sent: list[dict[str, Any]] = self.page.evaluate("model.sent")
        return [each for each in sent if each["t"] == kind]

    def names(self) -> list[str]:
        """The names of the rows in order, as far as they are elements."""
        rows = self.page.locator(".nbf-row").all()
        found = sorted(
            (int(r.get_attribute("aria-rowindex")), r.locator(".nbf-name").inner_text())
            for r in rows
        )
        return [name for _, name in found]

    def line(self, name: str) -> Any:
        """The row of that name."""
        exact = self.page.locator(".nbf-name", has_text=name)
        return self.page.locator(".nbf-row", has=exact).first

    def button(self, name: str) -> Any:
        return self.page.get_by_role("button", name=name, exact=True)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)
        self.settle()

    def settle(self) -> None:
        """Wait until everything asked for is drawn."""
        self.page.evaluate("drawn()")
