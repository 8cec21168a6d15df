"""One process of a step, seen from the engine: started, read from, killed, reaped.

A process is killed as a group, with all that it has started, and reaped only after
that: until then the system gives its number to nobody else.
"""

import codecs
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import IO, cast

from nbflow._engine.capture import Line
from nbflow._engine.wire import Wire

POSIX = os.name == "posix"
WORKER = "nbflow._engine.process_worker"

_ROOT = str(Path(__file__).parents[2])  # where the process finds this nbflow
_PIPE_SIZE = 1 << 20
_LOOK = 0.5  # seconds between looks at a silent process
_DRAINED = 64 * 1024

Listener = Callable[[str, bool], None]
"""Takes a line (and whether it replaces the last one) of the process's raw output."""


def spawn(guard: "Guard") -> "Child":
    """Start a process that imports what it needs and then waits for a call.

    On Linux it is killed when the *thread* that calls this ends. `guard` has it on its
    list until it is reaped.

    Raises:
        OSError: the system starts no process.
    """
    path = os.pathsep.join(filter(None, (_ROOT, os.environ.get("PYTHONPATH"))))
    command = [program(), "-P", *_flags(), "-m", WORKER, str(os.getpid())]
    # A session of its own: Ctrl-C at the terminal is not for it, and it has a group.
    popen = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        env={**os.environ, "PYTHONPATH": path},
        start_new_session=POSIX,
        creationflags=0 if POSIX else _windows_flags(),
    )
    return Child(popen, guard)


def program() -> str:
    """The Python that runs here.

    Raises:
        OSError: it does not know where it is, as inside some other program.
    """
    if not sys.executable:
        raise OSError(
            "this Python does not know its own program (sys.executable is empty), so "
            "it cannot start a process for a step: leave process=True out"
        )
    return sys.executable


def _flags() -> list[str]:
    """Options of this interpreter that the process shares; not its isolation."""
    known: Callable[[], list[str]] = getattr(
        subprocess, "_args_from_interpreter_flags", list
    )
    return [flag for flag in known() if flag not in ("-I", "-E", "-P")]


def _windows_flags() -> int:
    names = ("CREATE_NEW_PROCESS_GROUP", "CREATE_NO_WINDOW")
    return sum(getattr(subprocess, name, 0) for name in names)


class Child:
    """A running process and the wire to it. One thread talks; any may kill."""

    def __init__(self, popen: "subprocess.Popen[bytes]", guard: "Guard") -> None:
        self._popen = popen
        self._guard = guard
        guard.add(popen.pid)
        self._lock = threading.Lock()
        self._code: int | None = None
        self._is_ending = False  # killed for good; its number may be another's soon
        # Unbuffered pipes are raw files.
        source, target = cast(FileIO, popen.stdout), cast(FileIO, popen.stdin)
        self._stray = _Stray(popen.stderr)
        if POSIX:
            _widen(source.fileno(), target.fileno())
            self._poll = select.poll()
            self._poll.register(source, select.POLLIN)
            self._poll.register(self._stray.fd, select.POLLIN)
        self._source = source.fileno()
        self._deadline: float | None = None
        self.wire = Wire(source, target, self._await_input)

    @property
    def pid(self) -> int:
        """The process's id; on POSIX also that of its group."""
        return self._popen.pid

    def listen(self, listener: Listener) -> None:
        """Hand on what is written past Python to standard output and error.

        On POSIX it is called by the thread that receives, while it waits.
        """
        self._stray.listener = listener
        if not POSIX:  # pipes cannot be polled there
            threading.Thread(target=self._stray.read_all, daemon=True).start()

    def kill(self) -> None:
        """Kill the process and all that it has started; any thread, any time."""
        with self._lock:
            if not self._is_ending:
                self._kill()

    def is_dead(self) -> bool:
        """Whether the process has ended; it is not reaped by that."""
        with self._lock:
            if self._is_ending:
                return True
            if not hasattr(os, "waitid"):
                return self._popen.poll() is not None
            look = os.WEXITED | os.WNOHANG | os.WNOWAIT
            try:
                return os.waitid(os.P_PID, self.pid, look) is not None
            except ChildProcessError:  # somebody else has reaped it
                return True

    def drain(self) -> None:
        """Hand on the raw output that has been written so far."""
        if POSIX:
            while self._stray.is_open and any(
                fd == self._stray.fd for fd, _ in self._poll.poll(0)
            ):
                self._read_stray()

    def end(self, grace: float = 0.0) -> int:
        """Wait up to `grace` seconds for the process's end, kill what is left, reap.

        Returns:
            The exit code, or minus the number of the signal that ended it.
        """
        if self._code is not None:
            return self._code
        self._deadline = time.monotonic() + grace
        if grace and POSIX:
            with suppress(EOFError):
                while True:
                    self.wire.receive()
        elif grace:
            with suppress(subprocess.TimeoutExpired):
                self._popen.wait(grace)
        with self._lock:
            self._kill()
            self._is_ending = True
        self._guard.discard(self.pid)
        self._code = self._popen.wait()
        self.drain()
        self._stray.finish()
        with suppress(OSError):
            self.wire.close()
        return self._code

    def _kill(self) -> None:
        if not POSIX:
            self._popen.kill()
            return
        with suppress(ProcessLookupError, PermissionError):  # nobody is left
            os.killpg(self.pid, signal.SIGKILL)

    def _await_input(self) -> None:
        """Wait until the process says something, reading its raw output meanwhile."""
        if not POSIX:
            return
        while True:
            pause = _LOOK
            if self._deadline is not None:
                pause = min(pause, self._deadline - time.monotonic())
            ready = dict(self._poll.poll(max(pause, 0) * 1000))
            if self._stray.fd in ready:
                self._read_stray()
            if self._source in ready:
                return
            if self._deadline is not None and time.monotonic() >= self._deadline:
                raise EOFError("the process did not end in time")
            # A child of it that holds its end of the pipe would hide its death.
            if not ready and self.is_dead():
                self.kill()
                if not self._poll.poll(0):
                    raise EOFError("the process is dead")

    def _read_stray(self) -> None:
        if not self._stray.read():
            self._poll.unregister(self._stray.fd)


class _Stray:
    """The pipe that the process's descriptors 1 and 2 write to, read as lines."""

    def __init__(self, pipe: IO[bytes] | None) -> None:
        assert pipe is not None
        self._pipe = pipe
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._line = Line()
        self.fd = pipe.fileno()
        self.is_open = True
        self.listener: Listener | None = None

    def read(self) -> bool:
        """Read what is there, waiting for it; False at the end."""
        try:
            data = os.read(self.fd, _DRAINED)
        except OSError:
            data = b""
        self.is_open = bool(data)
        text = self._decoder.decode(data, final=not data)
        self._tell(self._line.feed(text.replace("\0", "")))
        return self.is_open

    def read_all(self) -> None:
        """Read to the end."""
        while self.read():
            pass
        self.finish()

    def finish(self) -> None:
        """Hand on the unfinished line and close the pipe."""
        self._tell(self._line.show())
        self.listener = None
        if POSIX or not self.is_open:
            self._pipe.close()

    def _tell(self, lines: list[tuple[str, bool]]) -> None:
        if self.listener is not None:
            for text, replace in lines:
                self.listener(text, replace)


def _widen(*pipes: int) -> None:
    """Let pipes hold more, so that large values need fewer switches of process."""
    if sys.platform != "linux":
        return
    import fcntl

    for pipe in pipes:
        with suppress(OSError):  # over the user's share of pipe memory
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)


class Guard:
    """A small process that kills listed groups should this process die untidily.

    None is started where there are no process groups.
    """

    def __init__(self) -> None:
        self._popen: subprocess.Popen[bytes] | None = None
        if not POSIX:
            return
        script = str(Path(__file__).with_name("process_guard.py"))
        self._popen = subprocess.Popen(
            [program(), "-I", "-S", script, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,
        )

    def add(self, group: int) -> None:
        """Put a group on the list."""
        self._write(b"+%d\n" % group)

    def discard(self, group: int) -> None:
        """Take a group from the list; before its leader is reaped."""
        self._write(b"-%d\n" % group)

    def close(self) -> None:
        """End it, and what is on its list."""
        if self._popen is None or self._popen.stdin is None:
            return
        self._popen.stdin.close()
        try:
            self._popen.wait(1)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()

    def _write(self, line: bytes) -> None:
        if self._popen is not None and self._popen.stdin is not None:
            # Killed by somebody, or closed: then there is nobody to tell.
            with suppress(OSError, ValueError):
                self._popen.stdin.write(line)
