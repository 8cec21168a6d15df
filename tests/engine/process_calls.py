"""Functions that a step's process imports: a module goes by its name."""

import os
from typing import Any

LOADED_IN = os.getpid()


class Refused(Exception):
    """Cannot be made again from its `args`."""

    def __init__(self, reason: str, *, code: int) -> None:
        super().__init__(f"refused: {reason}")
        self.code = code


def where() -> tuple[int, int]:
    return os.getpid(), LOADED_IN


def refuse(reason: str) -> None:
    raise Refused(reason, code=7)


def square(number: int) -> int:
    print("squaring", number)
    return number * number


def echo(value: Any) -> Any:
    return value
