"""The magics in real kernels: waiting, interrupts, prints, restarts, two kernels."""

import json
import re
import time
from pathlib import Path

import pytest

from nbflow import Client
from tests.magics.conftest import LIMIT, Kernel, kernel_in

WAIT = "await ctx.wait_for_event('w', 'never')"
# An interrupt at the worst moment: the run is on its way, and nobody has its name.
STRIKE = """
import signal, sys
from nbflow._engine.host import Host
from nbflow.widgets.run.run_view import RunView
from nbflow.widgets.run.showing import Showing

CODES = {
    "post": Host.post.__code__,
    "make": RunView.__init__.__code__,
    "show": Showing.display.__code__,
}

def strike(frame, event, argument):
    if event == "return" and frame.f_code is CODES["PLACE"]:
        sys.setprofile(None)
        signal.raise_signal(signal.SIGINT)

sys.setprofile(strike)
"""


def interrupted(kernel: Kernel, cell: str, run_id: str) -> str:
    """Interrupt a cell once it waits for its run; what it has shown of that."""
    request = kernel.send(cell)
    if "print('here')" in cell:
        kernel.finish(request, until="here")
    client = Client(kernel.folder / ".nbflow", "demo")
    deadline = time.monotonic() + LIMIT
    while not any(
        run.run_id == run_id and run.started_at for run in client.runs.list()
    ):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    kernel.manager.interrupt_kernel()
    done = kernel.finish(request)
    assert done.status == "error", done
    return done.traceback


def status(kernel: Kernel, run_id: str) -> str:
    code = f"nbflow.Client().runs.handle({run_id!r}).status.value"
    return str(kernel.ok(code).result).strip("'")


def test_errors_name_the_cells_of_the_kernel(kernel: Kernel) -> None:
    kernel.ok("def inverse(x):\n    return 1 / x")
    done = kernel.run("%%workflow divide(x: int = 0) -w\n\nawait ctx.run(inverse, x)")
    assert done.error is not None
    assert done.error["ename"] == "RunFailed"
    assert done.error["evalue"] == "ZeroDivisionError: division by zero"
    found = re.findall(r"Cell In\[\d+\], line (\d+)", done.traceback)
    assert found == ["3", "2"]
    assert "site-packages" not in done.traceback
    assert "nbflow/" not in done.traceback
    kernel.ok("import inspect")
    assert "async def divide" in kernel.ok("print(inspect.getsource(divide.fn))").text


def test_the_debuggers_file_name_is_that_of_the_cell(kernel: Kernel) -> None:
    cell = "%%workflow where\nimport sys\nreturn sys._getframe().f_code.co_filename"
    name = kernel.ok(cell.replace("\n", " -w\n", 1)).result
    asked = (
        "from ipykernel.compiler import get_file_name\n"
        f"get_file_name({cell.replace(chr(10), ' -w' + chr(10), 1)!r})"
    )
    assert kernel.ok(asked).result == name


def test_a_run_goes_on_while_other_cells_are_executed(kernel: Kernel) -> None:
    kernel.ok(
        "%%workflow goes_on --invoke --as run\n"
        "await ctx.wait_for_event('w', 'go')\nreturn 7"
    )
    assert kernel.ok("run.status.value").result == "'running'"
    kernel.ok("nbflow.Client().events.send('go', run=run.run_id)")
    assert kernel.ok("await run").result == "7"


class TestInterrupts:
    def test_of_a_waiting_magic_cancels_its_run(self, kernel: Kernel) -> None:
        shown = interrupted(kernel, f"%%workflow held -w --run-id i-1\n{WAIT}", "i-1")
        assert shown.splitlines()[0].startswith("Interrupted: run i-1 is canceled")
        assert len(shown.splitlines()) == 1
        assert status(kernel, "i-1") == "canceled"

    @pytest.mark.parametrize("place", ["post", "make", "show"])
    def test_between_the_start_and_the_wait_cancels_the_run(
        self, kernel: Kernel, place: str
    ) -> None:
        kernel.ok("%%workflow held\n" + WAIT)
        kernel.ok(STRIKE.replace("PLACE", place))
        done = kernel.run(f"%workflow invoke held -w --run-id i-{place}")
        assert done.error is not None
        assert done.error["ename"] == "KeyboardInterrupt"
        assert f"run i-{place} is canceled" in done.traceback
        assert status(kernel, f"i-{place}") == "canceled"

    def test_while_a_run_is_shown_that_nobody_waits_for_touches_no_run(
        self, kernel: Kernel
    ) -> None:
        kernel.ok("%%workflow held\n" + WAIT)
        kernel.ok(STRIKE.replace("PLACE", "show"))
        done = kernel.run("%workflow invoke held -r --run-id i-10")
        assert done.error is not None
        assert done.error["ename"] == "KeyboardInterrupt"
        assert status(kernel, "i-10") == "running"
        kernel.ok("%workflow cancel i-10")

    def test_of_a_waiting_result_cancels_its_run(self, kernel: Kernel) -> None:
        kernel.ok(f"%%workflow held -r --as run --run-id i-2\n{WAIT}")
        shown = interrupted(kernel, "print('here')\nrun.result()", "i-2")
        assert "run i-2 is canceled" in shown
        assert status(kernel, "i-2") == "canceled"

    def test_of_a_call_that_waits_for_a_blocked_engine_ends_the_wait(
        self, tmp_path: Path
    ) -> None:
        held = "the body of run i-13 has held the engine for"
        with kernel_in(tmp_path) as kernel:
            kernel.ok("%%workflow one -w --run-id i-12\nreturn 1")
            kernel.ok("import threading\nlet_go = threading.Event()")
            kernel.ok("%%workflow endless -r --run-id i-13\nlet_go.wait()")
            for cell in (
                "nbflow.Client().runs.handle('i-12').rerun()",
                "nbflow.Client().events.send('nobody')",
                "%workflow cancel i-13",
            ):
                request = kernel.send(cell)
                told = kernel.finish(request, until="finished steps are kept").text
                assert held in told, cell
                assert "an interrupt ends the wait" in told
                kernel.manager.interrupt_kernel()
                done = kernel.finish(request)
                assert done.error is not None
                (line,) = done.traceback.strip().splitlines()
                assert line.startswith("Interrupted: the body of run i-13 still holds")

            # What is invoked says so at once, and why it is not there to be seen.
            told = kernel.ok("%workflow invoke one -r --run-id i-14").text
            assert held in told
            assert "what is invoked is recorded and begins later" in told
            missing = kernel.run("%workflow show i-14").traceback
            assert "the body of run i-13 holds the engine" in missing

            # The wait for a run that could not begin yet ends, too.
            request = kernel.send("one.options(run_id='i-15').invoke().result()")
            kernel.finish(request, until="run i-15 has to wait for it")
            kernel.manager.interrupt_kernel()
            assert "run i-15 is asked to end" in kernel.finish(request).traceback

            kernel.ok("let_go.set()")
            assert kernel.ok("await nbflow.Client().runs.handle('i-14')").result == "1"
            # What was withdrawn was not done: no second run, no cancel.
            assert len(kernel.ok("%workflow runs").text.splitlines()) == 4
            assert status(kernel, "i-13") == "completed"

    def test_of_a_body_that_never_awaits_frees_the_cell(self, tmp_path: Path) -> None:
        with kernel_in(tmp_path) as kernel:
            endless = "import time\nwhile True:\n    time.sleep(0.05)"
            cell = f"%%workflow endless -w --run-id i-11\n{endless}"
            assert "run i-11 is asked to end" in interrupted(kernel, cell, "i-11")
            # Looking still works, for as long as nothing is asked of that engine.
            assert "running" in kernel.ok("%workflow runs").text

            kernel.restart()
            kernel.ok("%load_ext nbflow")
            told = kernel.ok("%%workflow endless\nreturn 1").text
            assert "run i-11 of 'endless' waits" in told
            assert kernel.ok("%workflow resume i-11 --wait").result == "1"

    def test_of_an_await_cancels_its_runs(self, kernel: Kernel) -> None:
        kernel.ok(f"%%workflow held -r --as one --run-id i-3\n{WAIT}")
        kernel.ok("%workflow invoke held -r --as two --run-id i-4")
        interrupted(
            kernel,
            "import asyncio\nprint('here')\nawait asyncio.gather(one, two)",
            "i-4",
        )
        assert [status(kernel, each) for each in ("i-3", "i-4")] == ["canceled"] * 2

    def test_ones_own_timeout_around_an_await_cancels_nothing(
        self, kernel: Kernel
    ) -> None:
        kernel.ok(f"%%workflow held -r --as run --run-id i-5\n{WAIT}")
        done = kernel.run("import asyncio\nawait asyncio.wait_for(run, 0.1)")
        assert done.error is not None
        assert done.error["ename"] == "TimeoutError"
        assert status(kernel, "i-5") == "running"
        kernel.ok("%workflow cancel i-5")

    def test_at_idle_touches_nothing(self, kernel: Kernel) -> None:
        kernel.ok(f"%%workflow held -r --as run --run-id i-6\n{WAIT}")
        kernel.manager.interrupt_kernel()
        assert kernel.ok("1 + 1").result == "2"
        assert status(kernel, "i-6") == "running"
        kernel.ok("%workflow cancel i-6")

    def test_of_other_code_touches_no_run(self, kernel: Kernel) -> None:
        kernel.ok(f"%%workflow held -r --as run --run-id i-7\n{WAIT}")
        request = kernel.send("import time\nprint('here')\ntime.sleep(600)")
        kernel.finish(request, until="here")
        kernel.manager.interrupt_kernel()
        done = kernel.finish(request)
        assert done.error is not None
        assert done.error["ename"] == "KeyboardInterrupt"
        assert status(kernel, "i-7") == "running"
        kernel.ok("%workflow cancel i-7")

    def test_may_leave_the_run_alone(self, kernel: Kernel) -> None:
        kernel.ok("%config NBFlow.on_interrupt = 'leave'")
        shown = interrupted(kernel, f"%%workflow held -w --run-id i-8\n{WAIT}", "i-8")
        assert "run i-8 goes on" in shown
        assert status(kernel, "i-8") == "running"
        kernel.ok("%workflow cancel i-8")
        kernel.ok("%config NBFlow.on_interrupt = 'cancel'")


class TestPrints:
    def test_of_a_run_reach_no_cell(self, kernel: Kernel) -> None:
        kernel.ok(
            "import sys, threading\n"
            "def speak():\n"
            "    print('from a thread')\n"
            "    print('to stderr', file=sys.stderr)\n"
            "def apart():\n    print('from a process')\n"
            "async def loop():\n    print('from the loop')"
        )
        kernel.ok(
            "%%workflow loud -r --as run\nprint('from the body')\n"
            "await ctx.wait_for_event('w', 'go')\n"
            "await ctx.run(speak)\nawait ctx.run(loop)\n"
            "await ctx.run(apart, process=True)"
        )
        kernel.ok("nbflow.Client().events.send('go', run=run.run_id)")
        done = kernel.ok("print('mine')\nrun.result()")
        assert done.text == "mine\n"
        logged = kernel.ok(
            "print([e.data['message'] for e in run.events() if e.type == 'log'])"
        ).text
        assert eval(logged) == [
            "from the body",
            "from a thread",
            "to stderr",
            "from the loop",
            "from a process",
        ]

    def test_bars_drive_the_progress_and_draw_into_no_cell(
        self, kernel: Kernel
    ) -> None:
        kernel.ok(
            "from tqdm.auto import tqdm\nfrom rich.console import Console\n"
            "from rich.progress import track\n"
            "def bars():\n"
            "    Console().print('[bold]rich[/]')\n"
            "    bar = track(range(5), '[red]five[/red]', refresh_per_second=1000)\n"
            "    return sum(tqdm(range(7), desc='seven')) + sum(bar)"
        )
        done = kernel.ok("%%workflow pretty -w --quiet\nreturn await ctx.run(bars)")
        assert (done.result, done.text) == ("31", "")
        asked = (
            "import json\nprint(json.dumps([[e.type.value, e.data] for e in "
            "_run.events() if e.type in ('log', 'progress')]))"
        )
        said = json.loads(kernel.ok(asked).text)
        progress = [each for kind, each in said if kind == "progress"]
        assert {"done": 7, "total": 7, "message": "seven"} in progress
        assert {"done": 5, "total": 5, "message": "five"} in progress
        lines = [each["message"] for kind, each in said if kind == "log"]
        assert lines[0] == "rich"
        assert [line.split()[0] for line in lines[1:]] == ["five"]  # drawn once

    def test_bars_in_cells_are_the_notebooks(self, kernel: Kernel) -> None:
        kernel.ok("from tqdm.auto import tqdm\nfrom rich.console import Console")
        asked = "type(tqdm(range(1)).container).__name__, Console().is_jupyter"
        assert kernel.ok(asked).result == "('TqdmHBox', True)"

    def test_of_threads_that_a_step_starts_are_the_steps(self, kernel: Kernel) -> None:
        kernel.ok(
            "import threading\nfrom concurrent.futures import ThreadPoolExecutor\n"
            "def several():\n"
            "    one = threading.Thread(target=print, args=('a thread',))\n"
            "    one.start()\n    one.join()\n"
            "    with ThreadPoolExecutor() as pool:\n"
            "        pool.submit(print, 'a pool').result()"
        )
        kernel.ok("%%workflow many -w --quiet\nawait ctx.run(several)")
        asked = (
            "[(e.step, e.data['message']) for e in _run.events() if e.type == 'log']"
        )
        assert eval(str(kernel.ok(asked).result)) == [
            ("several", "a thread"),
            ("several", "a pool"),
        ]


class TestHeadless:
    def test_nobody_there_means_waiting(self, kernel: Kernel) -> None:
        done = kernel.ok(
            "%%workflow quick --invoke --as run\nawait ctx.sleep('s', 0.2)\nreturn 5",
            interactive=False,
        )
        assert "completed" in done.text
        assert done.result is None
        assert kernel.ok("run.status.value").result == "'completed'"

    def test_a_failure_fails_the_cell(self, kernel: Kernel) -> None:
        done = kernel.run("%%workflow bad --invoke\n1 / 0", interactive=False)
        assert done.error is not None
        assert done.error["evalue"] == "ZeroDivisionError: division by zero"

    def test_with_somebody_there_it_returns_at_once(self, kernel: Kernel) -> None:
        done = kernel.ok(f"%%workflow slow --invoke --as run\n{WAIT}")
        assert done.result is None
        assert kernel.ok("run.status.value").result == "'running'"
        kernel.ok("_ = run.cancel()")


def told_of_unfinished(kernel: Kernel, cell: str) -> str:
    """What a definition tells; the killed kernel may be just ending."""
    deadline = time.monotonic() + LIMIT
    while "unfinished" not in (told := kernel.ok(cell).text):
        assert time.monotonic() < deadline, told
    return told


def test_unfinished_runs_wait_for_a_word(tmp_path: Path) -> None:
    cell = (
        "%%workflow long\nfirst = await ctx.run(count)\n"
        "await ctx.wait_for_event('w', 'go')\nreturn first"
    )
    count = (
        "from pathlib import Path\ndef count():\n"
        "    with Path('calls').open('a') as calls:\n        calls.write('x')\n"
        "    return 42"
    )
    with kernel_in(tmp_path) as kernel:
        kernel.ok(count)
        kernel.ok(cell.replace("\n", " -r --as run --run-id r-1\n", 1))
        kernel.ok("while not [s for s in run.steps if s.kind == 'wait']: pass")
        kernel.restart()
        kernel.ok("%load_ext nbflow\nimport nbflow")
        kernel.ok(count)
        told = told_of_unfinished(kernel, cell)
        assert "unfinished: run r-1 of 'long' waits with 1 finished step" in told
        assert "`%workflow resume r-1` goes on" in told
        assert "`%workflow cancel r-1` discards it" in told
        assert "unfinished" not in kernel.ok(cell).text  # told once
        assert "keeps 1 step" in kernel.ok("%workflow resume r-1").text
        kernel.ok("nbflow.Client().events.send('go', run='r-1')")
        assert kernel.ok("_run.result(60)").result == "42"
        assert (tmp_path / "calls").read_text() == "x"


@pytest.mark.parametrize(
    ("button", "status"), [("Resume", "running"), ("Discard", "canceled")]
)
def test_several_unfinished_runs_are_dealt_with_at_once(
    tmp_path: Path, button: str, status: str
) -> None:
    cell = f"%%workflow long\n{WAIT}"
    with kernel_in(tmp_path) as kernel:
        kernel.ok(cell)
        kernel.ok("for n in range(7): long.options(run_id=f'r-{n}').invoke()")
        kernel.ok("while len(nbflow.Client().runs.list()) < 7: pass")
        kernel.restart()
        kernel.ok("%load_ext nbflow\nimport nbflow, ipywidgets")
        told = told_of_unfinished(kernel, cell).splitlines()
        assert told[0] == "7 runs of 'long' are unfinished; the newest 5:"
        assert [line.split()[2] for line in told[1:6]] == [
            f"r-{n}" for n in (6, 5, 4, 3, 2)
        ]
        kernel.ok(
            "from ipywidgets.widgets.widget import _instances\n"
            "(found,) = [each for each in list(_instances.values())\n"
            f"    if getattr(each, 'description', '') == '{button} all']\n"
            "found.click()\n"
            "runs = nbflow.Client().runs\n"
            f"while {{r.status.value for r in runs.list()}} != {{'{status}'}}: pass"
        )


def test_unfinished_runs_are_resumed_where_that_is_set(tmp_path: Path) -> None:
    cell = (
        "from nbflow import workflow\n"
        "@workflow\nasync def plain(ctx):\n"
        "    await ctx.wait_for_event('w', 'go')\n    return 1"
    )
    with kernel_in(tmp_path) as kernel:
        kernel.ok(cell)
        kernel.ok("for n in (1, 2): plain.options(run_id=f'r-{n}').invoke()")
        kernel.ok("nbflow.Client().runs.list()")
        kernel.restart()
        kernel.ok("%load_ext nbflow\nimport nbflow")
        kernel.ok("%config NBFlow.unfinished = 'resume'")
        told = kernel.ok(cell).text
        assert "resumed: run r-1" in told
        assert "resumed: run r-2" in told
        kernel.ok(
            "c = nbflow.Client()\nfor n in (1, 2): c.events.send('go', run=f'r-{n}')"
        )
        assert kernel.ok(
            "[c.runs.handle(f'r-{n}').result(60) for n in (1, 2)]"
        ).result == ("[1, 1]")


def test_discarding_an_unfinished_run(tmp_path: Path) -> None:
    cell = f"%%workflow long\n{WAIT}"
    with kernel_in(tmp_path) as kernel:
        kernel.ok(cell.replace("\n", " -r --run-id r-1\n", 1))
        kernel.restart()
        kernel.ok("%load_ext nbflow\nimport nbflow")
        assert "unfinished: run r-1" in told_of_unfinished(kernel, cell)
        assert kernel.ok("%workflow cancel r-1").text == "run r-1 is canceled\n"


def test_monitor_is_a_widget_where_somebody_looks(kernel: Kernel) -> None:
    kernel.ok("%%workflow seen -w\nreturn 1")
    shown = kernel.ok("%workflow monitor").text
    assert shown.startswith("<Monitor of app 'demo': ")
    made = "[w for w in _instances.values() if type(w).__name__ == 'Monitor']"
    kernel.ok("from ipywidgets.widgets.widget import _instances")
    assert kernel.ok(f"len({made})").result == "1"
    alone = kernel.ok("%workflow monitor", interactive=False).text
    assert "✓ completed  seen" in alone


def test_a_second_kernel_of_one_app_is_a_client(tmp_path: Path) -> None:
    cell = "%%workflow one --invoke --as run\nawait ctx.wait_for_event('w', 'go')"
    with kernel_in(tmp_path) as first, kernel_in(tmp_path) as second:
        first.ok(cell)
        run_id = str(first.ok("run.run_id").result).strip("'")
        done = second.run(cell)
        assert done.error is not None
        assert done.error["ename"] == "EngineBusy"
        (line,) = done.traceback.strip().splitlines()
        pid = first.ok("import os\nos.getpid()").result
        assert str(pid) in line
        assert run_id in second.ok("%workflow runs").text
        assert "running" in second.ok(f"%workflow show {run_id}").text
        assert "is canceled" in second.ok(f"%workflow cancel {run_id}").text
        assert status(first, run_id) == "canceled"


def test_two_notebooks_in_one_folder_have_their_own_apps(tmp_path: Path) -> None:
    cell = "%%workflow same -w\nreturn ctx.app"
    with (
        kernel_in(tmp_path, "one.ipynb") as one,
        kernel_in(tmp_path, "two.ipynb") as two,
    ):
        assert one.ok(cell).result == "'one'"
        assert two.ok(cell).result == "'two'"
        assert len(one.ok("%workflow runs").text.splitlines()) == 1


def test_two_notebooks_of_one_name_are_told_apart_by_their_folders(
    tmp_path: Path,
) -> None:
    cell = "%%workflow same -w\nreturn ctx.app"
    first, second = str(tmp_path / "a" / "demo.ipynb"), str(tmp_path / "b/demo.ipynb")
    with (
        kernel_in(tmp_path, first) as one,
        kernel_in(tmp_path, second) as two,
    ):
        assert one.ok(cell).result == "'demo'"
        done = two.run(cell)
        assert done.error is not None
        assert done.error["ename"] == "EngineBusy"
        assert f"({first})" in done.error["evalue"]
        assert "`%nbflow app NAME`" in done.error["evalue"]
        two.ok("%nbflow app demo-b")
        assert two.ok(cell).result == "'demo-b'"


@pytest.mark.parametrize("code", ["%workflow ", "%%workflow a --"])
def test_completion_in_a_kernel(kernel: Kernel, code: str) -> None:
    request = kernel.client.complete(code, len(code))
    reply = kernel.client.get_shell_msg(timeout=LIMIT)
    while reply["parent_header"].get("msg_id") != request:
        reply = kernel.client.get_shell_msg(timeout=LIMIT)
    wanted = "resume" if code == "%workflow " else "--retries"
    assert wanted in reply["content"]["matches"]
