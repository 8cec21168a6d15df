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
