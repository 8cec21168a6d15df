"""kill -9 in the middle of commits: what was acknowledged is there, whole, in order."""

import random
import signal

import pytest

from nbflow._store.reader import SqliteReader
from nbflow._store.sqlite import SqliteWriter

KILLS = 20
LOOP = """
from pathlib import Path
from conftest import *
writer = SqliteWriter(Path(sys.argv[1]), sys.argv[2])
if writer.run_by_number(1) is None:
    writer.commit(make_batch(runs=[make_run(1)]))
idx = writer.head(1)
sizes = (1, 2, 5, 30)
print("from", idx, flush=True)
while True:
    count = sizes[idx % 4]
    events = [make_event(1, idx + i + 1, tx=idx + 1) for i in range(count)]
    row = make_run(1, attempt=idx + count)
    updates = [make_update(row)] if idx % 3 == 0 else []
    writer.commit(make_batch(events=events, updates=updates))
    idx += count
    print(idx, flush=True)
"""


@pytest.mark.parametrize("durability", ["power", "process"])
def test_nothing_acknowledged_is_lost_and_nothing_is_half_there(
    app_dir, python, check_integrity, durability
):
    chance = random.Random(7)
    acknowledged = 0
    for _ in range(KILLS // 2):
        process = python(LOOP, app_dir, durability)
        assert process.stdout is not None
        for _ in range(chance.randrange(2, 60)):
            process.stdout.readline()
        process.kill()
        out, err = process.communicate()
        assert (process.returncode, err) == (-signal.SIGKILL, "")
        numbers = [line for line in out.split() if line.isdigit()]
        acknowledged = max(acknowledged, int(numbers[-1]) if numbers else 0)

        reader = SqliteReader(app_dir)
        events = reader.events(1)
        reader.close()
        assert len(events) >= acknowledged
        assert [e.idx for e in events] == list(range(1, len(events) + 1))
        first = events[-1].tx
        assert len(events) - first + 1 == (1, 2, 5, 30)[(first - 1) % 4]

    writer = SqliteWriter(app_dir)
    assert writer.epoch == KILLS // 2 + 1
    writer.close()
    assert check_integrity(app_dir / "store.db") == "ok"


AT_POINT = """
import os
from pathlib import Path
from conftest import *
def faults(point):
    if point == sys.argv[2]:
        os.kill(os.getpid(), 9)
writer = SqliteWriter(Path(sys.argv[1]))
writer.commit(make_batch(runs=[make_run(1)], events=[make_event(1, 1)]))
writer._faults = faults
writer.commit(make_batch(runs=[make_run(2)], events=[make_event(1, 2)]))
"""


@pytest.mark.parametrize(
    ("point", "stored"),
    [
        ("before-begin", False),
        ("before-commit", False),
        ("committed", True),
        ("after-commit", True),
    ],
)
def test_a_kill_at_each_point_leaves_all_of_a_batch_or_none(
    app_dir, python, point, stored
):
    process = python(AT_POINT, app_dir, point)
    process.communicate()
    assert process.returncode == -signal.SIGKILL

    writer = SqliteWriter(app_dir)

    assert writer.head(1) == (2 if stored else 1)
    assert writer.next_run == (3 if stored else 2)
    writer.close()
