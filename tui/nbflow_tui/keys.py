"""The user's own keys: a file of TOML that gives actions other keys.

    run.cancel = "ctrl+x"
    timeline.in = ["plus", "i"]

`?` in the monitor shows the names. Wrong entries are told in a line each, and the keys
of before stay.
"""

import os
import re
import sys
import tomllib
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

from textual.binding import Binding, BindingType
from textual.keys import KEY_NAME_REPLACEMENTS

from nbflow.model import safe_text

_MODIFIERS = frozenset({"ctrl", "shift", "alt", "super", "meta", "hyper"})
_NAMED = re.compile(r"f([1-9]|1\d|2[0-4])\Z")
_SPECIAL = frozenset(
    {"up", "down", "left", "right", "home", "end", "pageup", "pagedown"}
    | {"insert", "delete", "backspace", "enter", "escape", "tab", "space"}
)


class Action(NamedTuple):
    """An action that has a key: where it can be pressed, and by what."""

    places: frozenset[str]
    keys: frozenset[str]


class Keymap(NamedTuple):
    """The keys that a file gives, by the names of actions; what is wrong with it."""

    keys: dict[str, str]
    problems: list[str]


def key_file() -> Path:
    """Where a user's keys are kept."""
    if sys.platform == "win32":
        base = os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming"
    else:
        base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "nbflow" / "keys.toml"


def read_keys(path: Path, known: Mapping[str, Action]) -> Keymap:
    """Read a file of keys; one that is not there gives none, a wrong one its problems.

    Args:
        path: the file.
        known: the actions by their names.
    """
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return Keymap({}, [])
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        return Keymap({}, [f"{path.name} cannot be read: {safe_text(str(error))}"])
    keys: dict[str, str] = {}
    problems: list[str] = []
    for name, value in _flat(entries):
        problem = _problem(name, value, known)
        if problem is None:
            some = [value] if isinstance(value, str) else value
            keys[name] = ",".join(map(_named, some))
        else:
            problems.append(f"{path.name}: {safe_text(problem)}")
    for name, key, other in _clashes(keys, known):
        problems.append(f"{path.name}: {name}: {key!r} is the key of {other} already")
        del keys[name]
    return Keymap(keys, problems)


def actions(
    namespaces: Iterable[tuple[str, Iterable[BindingType]]],
) -> dict[str, Action]:
    """The actions of some namespaces.

    Args:
        namespaces: the bindings of each, after the places where its keys hold, apart by
            spaces; "" for everywhere.
    """
    found: dict[str, Action] = {}
    for text, bindings in namespaces:
        places = frozenset(text.split() or [""])
        for binding in Binding.make_bindings(bindings):
            if binding.id:
                before = found.get(binding.id, Action(frozenset(), frozenset()))
                found[binding.id] = Action(
                    before.places | places, before.keys | {binding.key}
                )
    return found


def _flat(entries: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in entries.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def _problem(name: str, value: object, known: Mapping[str, Action]) -> str | None:
    if name not in known:
        near = get_close_matches(name, known, n=1)
        hint = f", did you mean {near[0]}?" if near else "; ? shows the names"
        return f"{name}: there is no such action{hint}"
    some = [value] if isinstance(value, str) else value
    if not isinstance(some, list) or not some or not all(map(_is_text, some)):
        return f"{name}: give a key, or a list of keys, not {value!r}"
    for each in some:
        if not _is_key(each):
            return f"{name}: {each!r} is no key; keys are x, X, f5, ctrl+x, space"
    return None


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_key(text: str) -> bool:
    *modifiers, key = text.split("+") if len(text) > 1 else [text]
    if not _MODIFIERS.issuperset(modifiers):
        return False
    if len(key) == 1:
        return key.isprintable() and not key.isspace()
    return key in _SPECIAL or key in _SIGNS or bool(_NAMED.match(key))


def _named(key: str) -> str:
    """A key as Textual calls it: "plus" for "+"."""
    if len(key) > 1 or key.isalnum():
        return key
    name = unicodedata.name(key, key).lower().replace("-", "_").replace(" ", "_")
    return KEY_NAME_REPLACEMENTS.get(name, name)


_SIGNS = frozenset(_named(chr(code)) for code in range(33, 127))


def _clashes(
    keys: Mapping[str, str], known: Mapping[str, Action]
) -> list[tuple[str, str, str]]:
    """Entries that take a key of another action that can be pressed there, too."""
    now = {
        name: frozenset(keys[name].split(",")) if name in keys else action.keys
        for name, action in known.items()
    }
    found = []
    dropped: set[str] = set()
    for name in keys:
        for other, taken in now.items():
            if other == name or other in dropped:
                continue
            shared = sorted((now[name] & taken) - (known[name].keys & taken))
            if shared and _meet(known[name].places, known[other].places):
                found.append((name, shared[0], other))
                dropped.add(name)
                now[name] = known[name].keys
                break
    return found


def _meet(some: frozenset[str], others: frozenset[str]) -> bool:
    return "" in some or "" in others or bool(some & others)
