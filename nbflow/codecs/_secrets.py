"""Secrets: named in stored values, masked in stored text."""

import json
import os
import re
from collections.abc import Iterable
from typing import Any, final

from nbflow.codecs._text import Node
from nbflow.codecs._walk import Reader, Writer, decodes, encodes, text_of
from nbflow.errors import InvalidName, NonRetriableError

MASK = "***"
_SUFFIXES = ("KEY", "TOKEN", "SECRET", "PASSWORD")
# Shorter values ("", "0", "none") would mask half of every text.
_SHORTEST = 6


@final
class Secret:
    """A secret that lives in an environment variable, stored by its name only.

    Pass it into runs and steps in place of the value, and call `.get()` where the
    value is needed: the store, logs and views only ever hold the name.
    """

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        """`name` is that of the environment variable; raises `InvalidName`."""
        if not name or not name.isprintable() or "=" in name:
            raise InvalidName(
                f"Secret({name!r}): give the name of an environment variable"
            )
        self._name = name

    @property
    def name(self) -> str:
        """The name of the environment variable."""
        return self._name

    def get(self) -> str:
        """The value as it is now; raises `NonRetriableError` when there is none."""
        value = os.environ.get(self._name)
        if value is None:
            raise NonRetriableError(
                f"the environment variable {self._name} is not set, and a Secret is"
                " read from it: set it in the process that runs the workflow"
            )
        _masker.add(self._name)
        return value

    def __repr__(self) -> str:
        return f"Secret({self._name!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._name == self._name

    def __hash__(self) -> int:
        return hash((Secret, self._name))

    def __reduce__(self) -> tuple[type["Secret"], tuple[str]]:
        return Secret, (self._name,)


class _Masker:
    """Keeps the pattern of all secret values while the environment stays equal."""

    def __init__(self) -> None:
        self._added: set[str] = set()
        self._seen: dict[Any, Any] | None = None
        self._pattern: re.Pattern[str] | None = None

    def add(self, name: str) -> None:
        """Mask the value of this variable too, whatever it is called."""
        if name not in self._added:
            self._added.add(name)
            self._seen = None

    def pattern(self) -> re.Pattern[str] | None:
        """What matches any secret value; None when there is none."""
        # The dict below `os.environ`: comparing it costs 1 us, reading all of it 20.
        present = getattr(os.environ, "_data", None)
        if present is None:
            present = dict(os.environ)
        if present != self._seen:
            seen = dict(present)
            self._pattern = _compile(
                value
                for name, value in os.environ.items()
                if name in self._added or name.upper().endswith(_SUFFIXES)
            )
            self._seen = seen
        return self._pattern


def _compile(values: Iterable[str]) -> re.Pattern[str] | None:
    texts: set[str] = set()
    for value in values:
        if len(value) >= _SHORTEST:
            # As it is, and as JSON and repr write it.
            texts |= {value, json.dumps(value)[1:-1], repr(value)[1:-1]}
    if not texts:
        return None
    longest_first = sorted(texts, key=lambda text: (-len(text), text))
    return re.compile("|".join(map(re.escape, longest_first)))


_masker = _Masker()


def redact(text: str) -> str:
    """The text with the values of secret environment variables masked.

    Secret are variables whose name ends in KEY, TOKEN, SECRET or PASSWORD, and those
    a `Secret` was read from; values shorter than 6 characters are left alone.
    """
    pattern = _masker.pattern()
    return text if pattern is None else pattern.sub(MASK, text)


@encodes(Secret)
def _write_secret(writer: Writer, value: Secret) -> Node:
    writer.tagged = True
    return {"$secret": writer.node(value.name)}


@decodes("$secret")
def _read_secret(reader: Reader, node: Node) -> Secret:
    return Secret(text_of(reader.read(node["$secret"])))
