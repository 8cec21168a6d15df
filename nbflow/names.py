"""The rules for names and ids; each check returns the text as it is compared (NFC).

Knows only `errors`.
"""

import functools
import re
import unicodedata
from collections.abc import Mapping

from nbflow.errors import (
    DefinitionError,
    InvalidId,
    InvalidName,
    InvalidOption,
    InvalidRunId,
)

LONGEST = 200

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_SURROGATE = re.compile("[\ud800-\udfff]")  # no Unicode text: cannot be stored


def check_id(text: object, *, what: str = "step id") -> str:
    """Return a step id or the name of a branch or group; raises InvalidId."""
    return _checked(text, what, InvalidId)


def check_event_name(text: object) -> str:
    """Return the name of an event that users send; raises InvalidName."""
    return _checked(text, "event name", InvalidName)


def check_workflow_name(text: object) -> str:
    """Return a workflow's name, which holds no "/"; raises InvalidName."""
    name = _checked(text, "workflow name", InvalidName)
    if "/" in name:
        raise InvalidName(
            f"workflow name {_shown(name)} has a '/': it stands between app and "
            f"workflow; use '-', '.' or '_' instead"
        )
    return name


def check_label(text: object) -> str:
    """Return a run's label; raises InvalidOption."""
    return _option(text, "label", "label")


def check_flow_key(text: object) -> str:
    """Return a flow-control key; raises InvalidOption."""
    return _option(text, "flow-control key", "key")


def check_run_id(text: object) -> str:
    """Return a run id; raises InvalidRunId."""
    if isinstance(text, str) and _PLAIN.fullmatch(text):
        return str(text)
    raise InvalidRunId(_plain_rule("run id", text))


def check_app(text: object) -> str:
    """Return an app's name, which is a folder's name as well; raises InvalidName."""
    if isinstance(text, str) and _PLAIN.fullmatch(text):
        return str(text)
    raise InvalidName(_plain_rule("app name", text))


def check_headers(headers: Mapping[str, str]) -> Mapping[str, str]:
    """Headers, if they are text to text."""
    if isinstance(headers, Mapping) and all(
        isinstance(each, str) and not _SURROGATE.search(each)
        for pair in headers.items()
        for each in pair
    ):
        return headers
    raise InvalidOption(
        f"headers={headers!r}: headers map text to text, without surrogate characters",
        option="headers",
        value=headers,
    )


def _option(text: object, what: str, option: str) -> str:
    try:
        return _checked(text, what, InvalidId)
    except InvalidId as error:
        raise InvalidOption(str(error), option=option, value=text) from None


def _checked(text: object, what: str, error: type[DefinitionError]) -> str:
    if not isinstance(text, str):
        raise error(
            f"{what} {_shown(text)} is no text: it is 1 to {LONGEST} printable "
            f"characters; give it as a str"
        )
    name, problem = _normal(str(text))
    if problem:
        raise error(
            f"{what} {_shown(text)} {problem}: it is 1 to {LONGEST} printable "
            f"characters, without control and bidi characters; choose another"
        )
    return name


@functools.lru_cache(maxsize=4_096)
def _normal(text: str) -> tuple[str, str | None]:
    # str.isprintable refuses control, format (so bidi), surrogate, private and
    # unassigned characters, and all space but " ".
    name = unicodedata.normalize("NFC", text) if len(text) <= 4 * LONGEST else text
    if not name:
        return name, "is empty"
    if len(name) > LONGEST:
        return name, f"has {len(name)} characters"
    if not name.isprintable():
        place, bad = next((i, c) for i, c in enumerate(name) if not c.isprintable())
        return name, f"holds U+{ord(bad):04X} at place {place}"
    return name, None


def _plain_rule(what: str, text: object) -> str:
    return (
        f"{what} {_shown(text)} is not allowed: it is 1 to 128 of A-Z a-z 0-9 . _ - "
        f"and begins with a letter or digit; choose another"
    )


def _shown(text: object) -> str:
    shown = repr(text) if isinstance(text, str) else f"<{type(text).__name__}>"
    return shown if len(shown) <= 80 else shown[:79] + "…"
