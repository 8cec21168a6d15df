import asyncio
import io
import sys
import threading

import pytest
from rich.console import Console
from rich.progress import Progress
from tqdm import tqdm

from nbflow._engine.capture import capturing


def test_bars_drive_the_progress(sink, hooks):
    with hooks, capturing(sink):
        for _ in tqdm(range(4), desc="rows", mininterval=0):
            print("working")
    assert sink.steps == [(n, 4, "rows") for n in range(5)]
    assert sink.texts == ["working"] * 4
    assert hooks.err.getvalue() == ""


def test_bars_without_total_or_in_units_tell_their_count(sink, hooks):
    with hooks, capturing(sink), tqdm(unit_scale=True, mininterval=0) as bar:
        bar.update(1_500_000)
    assert sink.steps[-1] == (1_500_000, None, None)


def test_the_outermost_bar_drives_and_a_next_one_takes_over(sink, hooks):
    with hooks, capturing(sink):
        for _ in tqdm(range(2), desc="outer", mininterval=0):
            for _ in tqdm(range(3), desc="inner", mininterval=0, leave=False):
                pass
        for _ in tqdm(range(1), desc="second", mininterval=0):
            pass
    assert sink.steps == [
        *[(n, 2, "outer") for n in range(3)],
        *[(n, 1, "second") for n in range(2)],
    ]
    assert sink.texts == []


def test_bars_of_parallel_steps_do_not_mix(hooks, new_sink):
    sinks = [new_sink(), new_sink()]

    async def step(sink, total):
        with capturing(sink):
            for _ in tqdm(range(total), mininterval=0):
                await asyncio.sleep(0)

    async def main():
        await asyncio.gather(step(sinks[0], 3), step(sinks[1], 5))

    with hooks:
        asyncio.run(main())
    assert [sink.steps[-1][:2] for sink in sinks] == [(3, 3), (5, 5)]


def test_what_is_written_above_a_bar_is_a_line(sink, hooks):
    with hooks, capturing(sink):
        for n in tqdm(range(2), mininterval=0, file=sys.stdout):
            tqdm.write(f"row {n}")
    assert sink.texts == ["row 0", "row 1"]


def test_prints_inside_an_iterated_generator_are_kept(sink, hooks):
    def rows():
        print("reading")
        yield 1

    with hooks, capturing(sink):
        list(tqdm(rows(), mininterval=0))
    assert sink.texts == ["reading"]


def test_a_bar_redrawn_by_another_thread_stays_with_its_sink(sink, hooks):
    with hooks, capturing(sink), tqdm(total=5, mininterval=0) as bar:
        bar.n = 2
        monitor = threading.Thread(target=bar.refresh)
        monitor.start()
        monitor.join()
        assert sink.steps[-1] == (2, 5, None)
    assert hooks.err.getvalue() == ""


def test_bars_elsewhere_are_drawn_on_the_stream(hooks):
    with hooks:
        list(tqdm(range(3)))
        assert "3/3" in hooks.err.getvalue()


def test_rich_progress_works_and_shows_its_end(sink, hooks):
    with hooks, capturing(sink), Progress(console=Console()) as progress:
        task = progress.add_task("rows", total=2)
        for _ in range(2):
            progress.update(task, advance=1)
            print("said")
    assert any("100%" in text for text in sink.texts)
    assert sink.texts.count("said") == 2
    assert not any("\x1b" in text for text in sink.texts)
    assert hooks.out.getvalue() == ""


def test_a_bar_that_is_interrupted_leaves_other_bars_their_lock(sink, hooks):
    class Over(BaseException):
        pass

    def refuse(*args: object) -> None:
        raise Over

    sink.progress = refuse
    with hooks, capturing(sink), pytest.raises(Over):
        list(tqdm(range(3), mininterval=0))
    # The lock is one that its own thread could take again.
    other = threading.Thread(target=tqdm(range(3), file=io.StringIO()).close)
    other.daemon = True
    other.start()
    other.join(60)
    assert not other.is_alive()
