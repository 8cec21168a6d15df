import asyncio
import contextlib
import gc
import io
import logging
import sys
import threading
import warnings
import weakref

import pytest
from rich.console import Console
from rich.logging import RichHandler

from nbflow._engine import capture
from nbflow._engine.capture import capturing, current_sink


def test_prints_become_lines(sink, hooks):
    with hooks, capturing(sink):
        print("one", 2)
        print("three\nfour")
        print("oops", file=sys.stderr)
    assert sink.lines == [
        ("one 2", "info", "print", False),
        ("three", "info", "print", False),
        ("four", "info", "print", False),
        ("oops", "warning", "print", False),
    ]
    assert hooks.out.getvalue() == hooks.err.getvalue() == ""


def test_prints_elsewhere_go_to_the_stream(sink, hooks):
    with hooks:
        with capturing(sink):
            print("inside")
        print("outside", end="")
        print("error", file=sys.stderr)
        assert [hooks.out.getvalue(), hooks.err.getvalue()] == ["outside", "error\n"]


def test_parts_of_a_line_are_put_together(sink, hooks):
    with hooks, capturing(sink):
        print("a", end="")
        print("b", end=" ")
        print("c", file=sys.stderr)
        print("d")
    assert sink.texts == ["c", "ab d"]


def test_the_end_hands_over_lines_without_an_end(sink, hooks):
    with hooks, capturing(sink):
        print("out", end="")
        print("err", end="", file=sys.stderr)
    assert sink.texts == ["out", "err"]


def test_a_flushed_line_is_shown_and_replaced_by_its_completion(sink, hooks):
    with hooks, capturing(sink):
        print("loading…", end="", flush=True)
        print(" done")
        print("next", flush=True)
    assert sink.lines == [
        ("loading…", "info", "print", False),
        ("loading… done", "info", "print", True),
        ("next", "info", "print", False),
    ]


@pytest.mark.parametrize(
    "pieces",
    [
        ["10%\r", "20%\r", "30%\n"],
        ["\r10%", "\r20%", "\r30%\n"],
        ["10%", "\r", "20%\r30%", "\n"],
        ["10%\r", "20%\r", "30%"],
        ["10%\r", "20%\r", "30%\r\n"],
        ["10%\r", "20%   \r", "30%\r", "\n"],
    ],
)
def test_a_carriage_return_replaces_the_line(sink, hooks, pieces):
    with hooks, capturing(sink):
        print("before")
        for piece in pieces:
            sys.stdout.write(piece)
    assert sink.shown == ["before", "30%"]


def test_windows_line_ends_are_line_ends(sink, hooks):
    with hooks, capturing(sink):
        sys.stdout.write("one\r\ntwo\r")
        sys.stdout.write("\nthree\r\n")
    assert sink.lines == [
        (text, "info", "print", False) for text in ("one", "two", "three")
    ]


def test_blank_lines_are_kept(sink, hooks):
    with hooks, capturing(sink):
        print("a")
        print()
        print("b")
    assert sink.texts == ["a", "", "b"]


def test_long_lines_are_cut(sink, hooks):
    with hooks, capturing(sink):
        print("x" * 25_000)
        for _ in range(300):
            print("y" * 100, end="")
        print()
        print("z" * capture.LINE_LIMIT)
    long, joined, whole = sink.texts
    assert len(long) <= capture.LINE_LIMIT
    assert long.endswith("… (15040 more characters)")
    assert joined.endswith("… (20040 more characters)")
    assert whole == "z" * capture.LINE_LIMIT


def test_escape_sequences_are_taken_out(sink, hooks):
    with hooks, capturing(sink):
        print("\x1b[1;31mred\x1b[0m \x1b]8;;https://x\x1b\\link\x1b]8;;\x1b\\")
        print("\x1b[?25l", end="")
    assert sink.texts == ["red link"]


def test_streams_keep_every_attribute(hooks):
    with hooks:
        assert sys.stdout.fileno() == 77
        assert sys.stdout.encoding == hooks.out.encoding
        assert sys.stdout.isatty()
        assert sys.stdout.getvalue() == ""  # type: ignore[attr-defined]
        assert not hasattr(sys.stdout, "nonsense")
        assert repr(sys.stdout) == repr(hooks.out)
        sys.stdout.writelines(["a", "b"])
        sys.stdout.flush()
        assert hooks.out.getvalue() == "ab"


def test_code_in_a_sink_sees_no_terminal(sink, hooks):
    with hooks, capturing(sink):
        assert not sys.stdout.isatty()


def test_writing_bytes_fails_as_on_a_stream(sink, hooks):
    with (
        hooks,
        capturing(sink),
        pytest.raises(TypeError, match="must be str, not bytes"),
    ):
        sys.stdout.write(b"x")  # type: ignore[arg-type]


def test_each_task_and_thread_speaks_to_its_own_sink(hooks, new_sink):
    sinks = [new_sink() for _ in range(20)]

    async def step(sink):
        with capturing(sink):
            for number in range(20):
                print(number, end=" ")
                await asyncio.sleep(0)
            await asyncio.to_thread(print, "end")

    async def main():
        await asyncio.gather(*(step(sink) for sink in sinks))

    with hooks:
        asyncio.run(main())
    line = " ".join(map(str, range(20))) + " end"
    assert [sink.texts for sink in sinks] == [[line]] * 20


def test_a_sink_that_prints_and_logs_does_not_hear_itself(hooks, new_sink):
    class Chatty(new_sink):
        def line(self, *line):
            print("storing", line[0])
            logging.getLogger("store").warning("storing")
            super().line(*line)

    sink = Chatty()
    with hooks, capturing(sink):
        print("x")
    assert sink.texts == ["x"]
    assert hooks.out.getvalue() == "storing x\n"


@pytest.mark.filterwarnings("always")
def test_what_a_sink_raises_reaches_the_code_that_prints(hooks, new_sink):
    with hooks:

        class Stop(BaseException):
            pass

        class Closed(new_sink):
            def line(self, *line):
                raise Stop

        with capturing(Closed()):
            with pytest.raises(Stop):
                print("x")
            with pytest.raises(Stop):
                logging.getLogger("x").error("y")
            with pytest.raises(Stop):
                warnings.warn("z", stacklevel=1)


def test_threads_that_print_late_keep_no_sink_alive(hooks, new_sink):
    with hooks:
        sink = new_sink()
        with capturing(sink):
            print("x", end="")
        token = current_sink.set(sink)
        print("late", end="")
        current_sink.reset(token)
        gone = weakref.ref(sink)
        del sink, token
        gc.collect()
        assert gone() is None


def test_log_records_become_lines_with_their_level(sink, hooks, logger):
    logger.setLevel(logging.DEBUG)
    with hooks, capturing(sink):
        logger.debug("a")
        logging.getLogger("mine").info("b %s", 2)
        logging.getLogger("mine").warning("c")
        logger.critical("d")
    assert sink.lines == [
        ("a", "debug", "logging", False),
        ("b 2", "info", "logging", False),
        ("c", "warning", "logging", False),
        ("d", "error", "logging", False),
    ]


def test_levels_are_the_users(sink, hooks, logger):
    with hooks, capturing(sink):
        logger.info("not wanted")
    assert sink.lines == []


def test_exceptions_are_logged_with_their_traceback(sink, hooks, logger):
    with hooks, capturing(sink):
        try:
            raise ValueError("broken")
        except ValueError:
            logger.exception("failed")
    [text] = sink.texts
    assert text.startswith("failed\nTraceback")
    assert text.endswith("ValueError: broken")


def test_a_record_is_one_line_though_handlers_write_it_to_a_stream(sink, hooks, logger):
    with hooks:
        plain = logging.StreamHandler(sys.stderr)
        plain.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
        console = Console(file=sys.stdout)
        logger.handlers[:] = [plain, RichHandler(console=console)]
        own = logging.getLogger("own")
        own.propagate = False
        own.addHandler(plain)
        try:
            with capturing(sink):
                logger.warning("hot")
                own.error("alone")
        finally:
            own.propagate = True
            own.handlers[:] = []
        assert sink.texts == ["hot", "alone"]


def test_records_still_reach_the_users_handlers(sink, hooks, logger):
    stream = io.StringIO()
    with hooks, capturing(sink):
        logger.addHandler(logging.StreamHandler(stream))
        logger.warning("x")
    assert stream.getvalue() == "x\n"


def test_outside_a_sink_logging_is_as_ever(sink, logger, hooks):
    with hooks:
        logger.warning("last resort")
        assert hooks.err.getvalue() == "last resort\n"
        logging.basicConfig(format="%(levelname)s:%(message)s", stream=sys.stderr)
        logger.warning("configured")
        assert hooks.err.getvalue() == "last resort\nWARNING:configured\n"


def test_a_record_with_wrong_arguments_is_shown_and_reported(sink, hooks, logger):
    with hooks, capturing(sink):
        logger.warning("%d rows", "many")
    assert sink.texts[0] == "%d rows"
    assert any("Logging error" in text for text in sink.texts)


@pytest.mark.filterwarnings("always")
def test_warnings_become_lines(sink, hooks):
    with hooks, capturing(sink):
        warnings.warn("careful", UserWarning, stacklevel=1)
    assert sink.lines == [("UserWarning: careful", "warning", "logging", False)]


@pytest.mark.filterwarnings("always")
def test_warnings_are_seen_again_once_the_next_run_has_started(sink, hooks):
    with hooks, warnings.catch_warnings():  # which puts back the original hook
        capture.install()
        with capturing(sink):
            warnings.warn("careful", UserWarning, stacklevel=1)
        capture.uninstall()
    assert sink.texts == ["UserWarning: careful"]


def test_warnings_elsewhere_are_as_ever(hooks):
    with hooks, pytest.warns(UserWarning, match="careful"):
        warnings.warn("careful", UserWarning, stacklevel=1)


def test_hooks_stay_until_the_last_user_left(streams):
    with streams:
        before = logging.Logger.callHandlers, warnings.showwarning
        capture.install()
        capture.install()
        capture.uninstall()
        assert sys.stdout is not streams.out
        capture.uninstall()
        assert streams.restored
        assert (logging.Logger.callHandlers, warnings.showwarning) == before


def test_streams_replaced_meanwhile_are_left_alone(streams, sink):
    with streams:
        other = io.StringIO()
        capture.install()
        with contextlib.redirect_stdout(other):
            capture.uninstall()
            assert sys.stdout is other
            print("x")
        assert other.getvalue() == "x\n"


def test_a_stream_put_back_late_is_used_again(streams):
    with streams:
        capture.install()
        with contextlib.redirect_stdout(io.StringIO()):
            capture.uninstall()
        ours = sys.stdout
        capture.install()
        assert sys.stdout is ours
        capture.uninstall()
        assert sys.stdout is streams.out


def test_replaced_streams_are_wrapped_by_the_next_user(streams, sink, monkeypatch):
    with streams:
        other = io.StringIO()
        monkeypatch.setattr(sys, "stdout", other)
        capture.install()
        with capturing(sink):
            print("inside")
        print("outside")
        capture.uninstall()
        assert sink.texts == ["inside"]
        assert other.getvalue() == "outside\n"


def test_a_hook_put_over_ours_keeps_working(streams, logger, monkeypatch, new_sink):
    # Set first, so that the end of the test puts back what was there before it.
    monkeypatch.setattr(logging.Logger, "callHandlers", logging.Logger.callHandlers)
    sink, seen = new_sink(), []
    with streams:
        capture.install()
        ours = logging.Logger.callHandlers

        def theirs(self, record):
            seen.append(record.getMessage())
            ours(self, record)

        logging.Logger.callHandlers = theirs
        capture.install()
        with capturing(sink):
            logger.warning("once")
        capture.uninstall()
        capture.uninstall()
        with capturing(sink):
            logger.warning("after")
    assert seen == ["once", "after"]
    assert sink.texts == ["once"]


def test_a_process_without_console_is_fine(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    capture.install()
    assert sys.stdout is None
    capture.uninstall()


def test_many_threads_may_install_at_once(streams):
    with streams:

        def use():
            for _ in range(200):
                capture.install()
                capture.uninstall()

        threads = [threading.Thread(target=use) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert streams.restored
