"""Messages between the engine and a step's process, over two pipes.

A frame is its kind, the length of a pickle and those of the buffers beside it, then
all of these. Both ends use it; neither reads anything but what the other has written.
"""

import struct
import threading
from collections.abc import Callable, Sequence
from io import FileIO
from typing import NamedTuple, TypeAlias

Buffer: TypeAlias = bytes | bytearray | memoryview

SETTINGS = 1  # to the process: where it is, whose step it runs
CALL = 2  # to the process: function and arguments
REPLY = 3  # to the process: the answer to an ASK
STARTED = 4  # from the process: the call has arrived whole
SAY = 5  # from the process: a line, progress, …
ASK = 6  # from the process: a question that waits for its REPLY
VALUE = 7  # from the process: what the function returned
ERROR = 8  # from the process: what it raised

_HEAD = struct.Struct("<BQI")
_WRITABLE = 1 << 63  # in the length of a buffer
_SMALL = 64 * 1024


class Frame(NamedTuple):
    """A message as it was received; buffers are writable as they were there."""

    kind: int
    stream: Buffer
    buffers: Sequence[memoryview]


def _at_once() -> None:
    """Reading may block."""


class Wire:
    """One end of the pipes. Any thread may send, one may receive.

    Args:
        source: to read from, unbuffered and blocking.
        target: to write to, the same.
        wait: called before each read; returns when there is something, or raises
            EOFError.
    """

    def __init__(
        self, source: FileIO, target: FileIO, wait: Callable[[], None] = _at_once
    ) -> None:
        self._source = source
        self._target = target
        self._wait = wait
        self._lock = threading.Lock()
        self._chunk = bytearray(_SMALL)
        self._ahead = memoryview(b"")  # read already, not asked for yet

    def send(
        self, kind: int, stream: Sequence[Buffer], buffers: Sequence[memoryview] = ()
    ) -> None:
        """Write a frame; large pieces are written from where they lie.

        Raises:
            OSError: the other end is gone.
            ValueError: this end was closed.
        """
        size = sum(len(piece) for piece in stream)
        lengths = [
            buffer.nbytes | (0 if buffer.readonly else _WRITABLE) for buffer in buffers
        ]
        head = _HEAD.pack(kind, size, len(buffers))
        head += struct.pack(f"<{len(lengths)}Q", *lengths)
        with self._lock:
            if len(head) + size <= _SMALL:
                self._write(b"".join((head, *stream)))
            else:
                for piece in (head, *stream):
                    self._write(piece)
            for buffer in buffers:
                self._write(buffer)

    def receive(self) -> Frame:
        """Wait for the next frame.

        Raises:
            EOFError: the other end is gone.
        """
        kind, size, count = _HEAD.unpack(self._read(_HEAD.size))
        lengths = struct.unpack(f"<{count}Q", self._read(8 * count))
        stream = self._read(size)
        buffers = []
        for length in lengths:
            view = memoryview(self._read(length & ~_WRITABLE))
            buffers.append(view if length & _WRITABLE else view.toreadonly())
        return Frame(kind, stream, buffers)

    def close(self) -> None:
        """Close both pipes."""
        self._source.close()
        self._target.close()

    def _write(self, piece: Buffer) -> None:
        rest = memoryview(piece).cast("B")
        while rest:
            rest = rest[self._target.write(rest) :]

    def _read(self, size: int) -> bytearray:
        data = bytearray(size)
        rest = memoryview(data)
        while rest:
            if not self._ahead and len(rest) >= _SMALL:
                rest = rest[self._read_into(rest) :]
                continue
            if not self._ahead:
                chunk = memoryview(self._chunk)
                self._ahead = chunk[: self._read_into(chunk)]
            taken = min(len(rest), len(self._ahead))
            rest[:taken] = self._ahead[:taken]
            rest, self._ahead = rest[taken:], self._ahead[taken:]
        return data

    def _read_into(self, view: memoryview) -> int:
        self._wait()
        count = self._source.readinto(view)
        if not count:
            raise EOFError("the other end of the pipe is closed")
        return count
