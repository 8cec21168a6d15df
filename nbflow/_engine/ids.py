"""Ids of runs, as engines and clients make them."""

import os
import threading
from collections.abc import Callable

# Digits before letters, as in ASCII, so that ids sort by time as text does.
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_TIME_DIGITS = 9
_RANDOM_DIGITS = 6
RANDOM_BITS = 5 * _RANDOM_DIGITS


class RunIds:
    """Makes run ids: `r-`, the millisecond, then random digits counted upwards.

    Counting within a millisecond keeps ids of one process distinct and in order.
    """

    def __init__(self, bits: Callable[[], int]) -> None:
        self._bits = bits
        self._lock = threading.Lock()
        self._last = -1

    def next(self, micros: int) -> str:
        """An id for a run that is made now."""
        with self._lock:
            value = max(micros // 1000, 0) << RANDOM_BITS
            if value >> RANDOM_BITS <= self._last >> RANDOM_BITS:
                value = self._last + 1
            else:
                value |= self._bits()
            self._last = value
        return "r-" + _digits(value, _TIME_DIGITS + _RANDOM_DIGITS)


_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]


def _digits(value: int, width: int) -> str:
    """The last `width` digits of `value`, two at a time."""
    pairs = _PAIRS
    top = 10 * (width // 2 - 1)
    text = [pairs[value >> shift & 1023] for shift in range(top, -1, -10)]
    if width % 2:
        text.insert(0, _ALPHABET[value >> 5 * width - 5 & 31])
    return "".join(text)


def system_bits() -> int:
    """Random bits of the operating system."""
    # The kernel's source, not a seeded generator: a forked child must not repeat ids.
    # One bit less than there is room for leaves space to count upwards.
    return int.from_bytes(os.urandom(4), "big") >> (33 - RANDOM_BITS)
