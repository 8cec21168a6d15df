"""A cell may print while runs come and go: the streams are not pulled from under it."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRIPT = """
import sys, threading, time
from nbflow._engine import capture
sys.setswitchinterval(1e-6)
end = time.monotonic() + 2
def come_and_go():
    while time.monotonic() < end:
        capture.install()
        capture.uninstall()
threads = [threading.Thread(target=come_and_go) for _ in range(2)]
for thread in threads:
    thread.start()
while time.monotonic() < end:
    print("x", flush=True)
for thread in threads:
    thread.join()
"""


def test_printing_while_streams_are_exchanged_does_not_crash_the_process():
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")


UNCAUGHT = """
from nbflow import Context, workflow
@workflow(app="a")
async def main(ctx: Context) -> None:
    await ctx.sleep("s", 3600)
main.invoke()
raise ValueError("of the script")
"""


def test_an_uncaught_error_of_the_script_is_printed_while_a_run_is_active(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", UNCAUGHT],
        env=os.environ | {"PYTHONPATH": str(ROOT), "NBFLOW_HOME": str(tmp_path / "h")},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stderr.endswith("ValueError: of the script\n")
    assert "Traceback" in done.stderr
