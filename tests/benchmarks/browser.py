"""What the live view costs, in a real JupyterLab: `python tests/benchmarks/browser.py`.

A run of 10,000 steps goes on at 1,000 events a second for some seconds. Each event's
time is in the run's progress line, so a page that has drawn it tells how long it took
from `ctx.progress` to the pixel. The kernel's share is the difference between a run
that is shown and one that is not.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).parents[2]))

from nbflow.widgets.script import sent
from tests.browser.lab import Lab, Tab

SETUP = """%load_ext nbflow
import asyncio, json, time
import nbflow

async def nothing(n):
    return n

async def paced(ctx, seconds, steps):
    await ctx.map("ready", nothing, range(steps), limit=64)
    loop = asyncio.get_running_loop()
    began, cpu, n = loop.time(), time.process_time(), 0
    while (now := loop.time() - began) < seconds:
        while n < now * 333:  # with two events a step: 1,000 events a second
            ctx.progress(n, 333 * seconds, f"at {time.time() * 1000:.0f}")
            await ctx.run("busy", nothing, n)
            n += 1
        await asyncio.sleep(0.002)
    return [n * 3 / now, (time.process_time() - cpu) / now]"""
RUN = """%%workflow {name}(seconds: int = {seconds}) --invoke --as run --view {view}
return await paced(ctx, seconds, {steps})"""
MANY = """%%workflow ticking(seconds: int = 6) --quiet
loop = asyncio.get_running_loop()
began = loop.time()
while (now := loop.time() - began) < seconds:
    ctx.progress(int(now * 1000), None, "on the way")
    await asyncio.sleep(0.01)"""
SHOW_MANY = """from nbflow.widgets import RunView
import ipywidgets
ipywidgets.VBox([RunView(ticking.invoke()) for _ in range(20)])"""
SAVED = """from nbflow.widgets import show
for n in range(50):
    done = small.invoke(n=n)
    done.result()
    show(done, "static")"""
SMALL = """%%workflow small(n: int) --quiet
return [await ctx.run(f"step {k}", nothing, n) for k in range(10)]"""
LARGE = """%%workflow large(steps: int) --quiet
await ctx.map("ready", nothing, range(steps), limit=64)
await ctx.wait_for_event("held", "never")"""
HELD = """run = large.invoke(steps={steps})
async for event in run.stream():
    if event.type == "step.waiting":
        break"""
PAINTS = 5
# When the cell is executed, when the widget's state has come, when rows are painted.
PAINT = """([cell, steps]) => new Promise(resolve => {
  const notebook = window.jupyterapp.shell.currentWidget;
  const kernel = notebook.sessionContext.session.kernel;
  const [began, old] = [performance.now(), document.querySelector(".nbf-run")];
  let come = 0;
  const note = (_, {direction, msg}) => {
    if (direction === "recv" && msg.header.msg_type === "comm_open" &&
        msg.content.data.state?.snapshot) come = performance.now();
  };
  kernel.anyMessage.connect(note);
  const observer = new MutationObserver(() => {
    const shown = document.querySelector(".nbf-run:has(.nbf-row)");
    if (!shown || shown === old) return;
    observer.disconnect();
    kernel.anyMessage.disconnect(note);
    requestAnimationFrame(() => setTimeout(() => {
      const painted = performance.now();
      const look = () => {
        const all = shown.innerText.includes(steps);
        if (!all) return setTimeout(look, 10);
        resolve([painted - began, painted - come, performance.now() - began]);
      };
      look();
    }, 0));
  });
  observer.observe(document.body, {subtree: true, childList: true});
  notebook.content.activeCellIndex = cell;
  window.jupyterapp.commands.execute("notebook:run-cell");
})"""
OBSERVE = """() => {
  window.seen = []; window.last = 0;
  const look = () => {
    const text = document.querySelector(".nbf-run")?.innerText ?? "";
    const at = +(/at (\\d{13})/.exec(text)?.[1] ?? 0);
    if (at > window.last) {
      window.last = at;
      requestAnimationFrame(() => setTimeout(() =>
        window.seen.push(performance.timeOrigin + performance.now() - at), 0));
    }
  };
  new MutationObserver(look).observe(document.querySelector(".nbf-run"),
    {subtree: true, childList: true, characterData: true});
  window.rows = setInterval(() => { window.most = Math.max(window.most ?? 0,
    document.querySelectorAll(".nbf-run [role=row]").length); }, 200);
}"""


class Figure(NamedTuple):
    """One measured figure and its budget."""

    what: str
    value: float
    budget: float
    unit: str


def main() -> int:
    """Measure, print the table; 1 if a budget is missed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=int, default=6)
    parser.add_argument("--steps", type=int, default=10_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        lab = Lab(playwright, Path(folder))
        try:
            figures = measure(lab, given.seconds, given.steps)
            figures += measure_paint(lab, given.steps)
            figures += measure_many(lab)
        finally:
            lab.close()
    for figure in figures:
        verdict = "ok" if figure.value <= figure.budget else "MISSED"
        limit = f"<= {figure.budget:g} {figure.unit}"
        value = f"{figure.value:>9.1f} {figure.unit:<6}"
        print(f"{figure.what:<34}{value}{limit:<16}", verdict)
    return 0 if all(each.value <= each.budget for each in figures) else 1


def measure(lab: Lab, seconds: int, steps: int) -> list[Figure]:
    """The figures of one run that is shown, beside one that is not."""
    cells = [
        RUN.format(name=name, seconds=seconds, view=view, steps=steps)
        for name, view in (("apart", "none"), ("shown", "live"))
    ]
    result = "print(json.dumps(run.result()))"
    lab.write("bench.ipynb", [SETUP, cells[0], result, cells[1], result])
    tab = lab.open("bench.ipynb")
    tab.execute(0, 1, 2)
    _, alone = answer(tab, 2)
    counter = _count_messages(tab)
    tab.run(3)
    view = tab.show(3).locator(".nbf-run")
    view.get_by_text("at 1").wait_for()  # the paced part has begun
    tab.page.evaluate(OBSERVE)
    before, first = tab_times(tab), counter["messages"]
    tab.page.wait_for_timeout((seconds - 2) * 1000)
    after, last = tab_times(tab), counter["messages"]
    seen = sorted(tab.page.evaluate("() => window.seen"))
    rows = tab.page.evaluate("() => window.most")
    tab.execute(4)
    rate, together = answer(tab, 4)
    span = seconds - 2
    print(f"{rate:,.0f} events/s, {len(seen)} pictures in {span} s")
    return [
        Figure("event to pixel, median", seen[len(seen) // 2], 60, "ms"),
        Figure("event to pixel, p95", seen[int(len(seen) * 0.95)], 60, "ms"),
        Figure("browser's main thread", (after - before) / span * 100, 15, "%"),
        Figure("messages", (last - first) / span, 15, "/s"),
        Figure("rows on the page", rows, 60, ""),
        Figure("kernel's CPU for the view", (together - alone) * 100, 5, "%"),
    ]


def measure_paint(lab: Lab, steps: int) -> list[Figure]:
    """From executing the cell that displays a large run to its rows on the page."""
    lab.write("large.ipynb", [SETUP, LARGE, HELD.format(steps=steps), "run"])
    tab = lab.open("large.ipynb")
    tab.execute(0, 1, 2)
    tab.show(3)
    paints = []
    for _ in range(1 + PAINTS):
        paints.append(tab.page.evaluate(PAINT, [3, f"{steps:,} of "]))
        tab.wait_idle()
    (cold, *_), *warm = paints
    paint, inside, whole = (
        sorted(times)[PAINTS // 2] for times in zip(*warm, strict=True)
    )
    told = ", ".join(f"{one:.0f} ({other:.0f})" for one, other, _ in paints)
    print(f"first paints, in the browser alone in brackets: {told} ms")
    return [
        Figure("first paint, median", paint, 400, "ms"),
        Figure("first paint, until all is there", whole, 1500, "ms"),
        Figure("first paint, browser alone", inside, 200, "ms"),
        Figure("first paint in a new page", cold, 800, "ms"),
    ]


def measure_many(lab: Lab) -> list[Figure]:
    """Twenty runs at once, fifty finished ones in a saved notebook, the files."""
    lab.write("many.ipynb", [SETUP, MANY, SHOW_MANY, SMALL, SAVED])
    tab = lab.open("many.ipynb")
    tab.execute(0, 1)
    counter = _count_messages(tab)
    tab.execute(2)
    tab.show(2).locator(".nbf-run").nth(19).wait_for()
    first = counter["messages"]
    tab.page.wait_for_timeout(4000)
    rate = (counter["messages"] - first) / 4
    tab.execute(3, 4)
    tab.page.wait_for_timeout(3000)
    saved = len(json.dumps(tab.outputs(4)).encode()) / 1000
    files = sum(len(sent(f"run/run_view.{kind}").encode()) for kind in ("js", "css"))
    return [
        Figure("messages of 20 runs", rate, 100, "/s"),
        Figure("50 finished runs, saved", saved, 500, "KB"),
        Figure("the view's files", files / 1024, 60, "KiB"),
    ]


def answer(tab: Tab, cell: int) -> tuple[float, float]:
    """Events a second and share of a core, as the run has measured them."""
    text = tab.until(lambda: tab.text(cell).strip(), "the run ends")
    rate, share = json.loads(text.splitlines()[-1])
    return rate, share


def tab_times(tab: Tab) -> float:
    """Seconds that the page's main thread has worked so far."""
    session: Any = getattr(tab, "_metrics", None)
    if session is None:
        session = tab._metrics = tab.page.context.new_cdp_session(tab.page)  # type: ignore[attr-defined]
        session.send("Performance.enable")
    metrics = session.send("Performance.getMetrics")["metrics"]
    return next(each["value"] for each in metrics if each["name"] == "TaskDuration")


def _count_messages(tab: Tab) -> dict[str, int]:
    """Counts what the kernel sends to widgets from here on."""
    counter = {"messages": 0}
    session = tab.page.context.new_cdp_session(tab.page)
    session.send("Network.enable")

    def note(event: Any) -> None:
        payload = event["response"]["payloadData"]
        if "comm_msg" in payload or event["response"]["opcode"] == 2:
            counter["messages"] += 1

    session.on("Network.webSocketFrameReceived", note)
    return counter


if __name__ == "__main__":
    sys.exit(main())
