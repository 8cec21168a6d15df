import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.pool import ThreadPool

import pytest
from tqdm import tqdm

from nbflow._engine import offspring
from nbflow._engine.capture import capturing, current_sink
from nbflow.errors import ContextClosed


@pytest.fixture(autouse=True)
def _installed() -> Iterator[None]:
    offspring.install()
    yield
    offspring.uninstall()


def in_thread(*lines, wait=True):
    def say():
        for line in lines:
            print(line)

    thread = threading.Thread(target=say)
    thread.start()
    if wait:
        thread.join()
    return thread


def test_a_thread_speaks_for_whoever_starts_it(sink, hooks):
    with hooks, capturing(sink):
        in_thread("one", "two")
    assert sink.texts == ["one", "two"]


def test_so_do_threads_of_threads_and_subclasses(sink, hooks):
    class Own(threading.Thread):
        def run(self):
            in_thread("inner")

    with hooks, capturing(sink):
        own = Own()
        own.start()
        own.join()
    assert sink.texts == ["inner"]


def test_a_pool_speaks_for_whoever_hands_it_a_call(hooks, new_sink):
    sinks = [new_sink(), new_sink()]
    with hooks, ThreadPoolExecutor(1) as pool:
        for number, sink in enumerate(sinks):
            with capturing(sink):
                pool.submit(print, number).result()
        pool.submit(print, "nobody").result()
        with capturing(sinks[0]), ThreadPool(1) as other:
            other.map(print, ["mapped"])
    assert [sink.texts for sink in sinks] == [["0", "mapped"], ["1"]]
    assert hooks.out.getvalue() == "nobody\n"


def test_calls_keep_their_arguments_results_and_errors(sink, hooks):
    with hooks, capturing(sink), ThreadPoolExecutor() as pool:
        assert pool.submit(dict, [("a", 1)], b=2).result() == {"a": 1, "b": 2}
        with pytest.raises(ZeroDivisionError):
            pool.submit(divmod, 1, 0).result()


def test_lines_of_several_threads_do_not_mix(sink, hooks):
    turn = threading.Barrier(2, timeout=60)

    def say(text):
        print(text, end="")
        turn.wait()
        print(text)

    with hooks, capturing(sink):
        threads = [threading.Thread(target=say, args=(each,)) for each in "ab"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(sink.texts) == ["aa", "bb"]


def test_a_line_without_end_is_handed_over_when_the_thread_ends(sink, hooks):
    with hooks, capturing(sink):
        thread = threading.Thread(target=print, args=("half",), kwargs={"end": ""})
        thread.start()
        thread.join()
        assert sink.texts == ["half"]


def test_a_thread_that_outlives_its_run_prints_as_others_do(hooks, new_sink):
    class Closed(new_sink):
        def line(self, *line):
            raise ContextClosed("over")

        def progress(self, *progress):
            raise ContextClosed("over")

    said = []

    def late():
        print("late")
        list(tqdm(range(2), mininterval=0))
        said.append("alive")

    with hooks, capturing(Closed()):
        thread = threading.Thread(target=late)
        thread.start()
        thread.join()
    assert hooks.out.getvalue() == "late\n"
    assert said == ["alive"]


def test_bars_of_threads_are_bars_of_the_step(sink, hooks):
    with hooks, capturing(sink), tqdm(total=2, desc="all", mininterval=0) as bar:

        def part():
            list(tqdm(range(3), desc="part", mininterval=0))
            bar.update()

        for _ in range(2):
            thread = threading.Thread(target=part)
            thread.start()
            thread.join()
    assert sink.steps == [(n, 2, "all") for n in range(3)]


def test_threads_started_by_nobody_are_left_alone(hooks):
    with hooks:
        thread = in_thread("plain")
    assert hooks.out.getvalue() == "plain\n"
    assert "run" not in vars(thread)


def test_threads_are_as_before_when_the_last_user_has_left(sink, hooks):
    offspring.uninstall()
    try:
        with hooks, capturing(sink):
            in_thread("unheard")
            assert current_sink.get() is sink
    finally:
        offspring.install()
    assert sink.texts == []
    assert hooks.out.getvalue() == "unheard\n"
