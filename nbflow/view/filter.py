"""The filter of lists of runs, as people type it: "ingest status:failed !app:old".

Pure: `parse` makes a `Filter`; what a store can answer goes to `client.runs.list` as
arguments, the rest is asked of each `Run`. Used by the monitor and by `nbflow runs`.

Terms stand between blanks and must all hold, but for terms of one field, of which one
must. `!` negates. A text field matches a part of its text, whatever the case, and
without a value whether there is any: `!parent:` are the runs that nobody invoked.
"""

import datetime as dt
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from nbflow import durations
from nbflow.errors import InvalidDuration
from nbflow.model import TERMINAL_RUN, UNFINISHED_RUN, Run, RunStatus

HELP: Mapping[str, str] = {
    "status": "queued, running, completed, failed, canceled, skipped; live, ended",
    "name": "part of the workflow's name",
    "app": "part of the app's name",
    "label": "part of the label",
    "queue": "waits for a flow-control key",
    "since": "made since then: since:1h",
    "error": "part of the error",
    "parent": "id of the run that invoked it, or its beginning and *",
}
"""The fields, and what each looks at."""

_GROUPS: Mapping[str, tuple[RunStatus, ...]] = {
    "live": UNFINISHED_RUN,
    "ended": tuple(each for each in RunStatus if each in TERMINAL_RUN),
}
_KEY = re.compile(r"flow key ('|\")(.*)\1: ")
_FIELD = re.compile(r"([A-Za-z_]+):")
_PLAIN = re.compile(r"[^\s\"!:][^\s\":]*")


class FilterError(ValueError):
    """A filter that cannot be read; its text says which part, and what was meant.

    Attributes:
        kept: the filter without the parts that cannot be read.
    """

    kept: "Filter"


class Term(NamedTuple):
    """One condition: a field (none for a bare word) and its value."""

    field: str
    value: str
    is_negated: bool = False

    def __str__(self) -> str:
        head = ("!" if self.is_negated else "") + (f"{self.field}:" * bool(self.field))
        if _PLAIN.fullmatch(self.value) or (self.field and not self.value):
            return head + self.value
        value = self.value.replace("\\", "\\\\").replace('"', '\\"')
        return f'{head}"{value}"'


@dataclass(frozen=True, slots=True)
class Filter:
    """Which runs are shown. An empty one takes all."""

    terms: tuple[Term, ...] = ()

    def __str__(self) -> str:
        """Return the filter as it can be typed again."""
        return " ".join(map(str, self.terms))

    def __bool__(self) -> bool:
        return bool(self.terms)

    @property
    def chips(self) -> list[str]:
        """The terms one by one, to be shown and taken away."""
        return list(map(str, self.terms))

    def takes_app(self, app: str) -> bool:
        """Whether runs of an app may pass; where not, it need not be asked."""
        return self._holds("app", lambda value: _within(value, app))

    def arguments(self, now: dt.datetime) -> dict[str, Any]:
        """What `client.runs.list` is asked; every run that `matches` passes it too."""
        asked: dict[str, Any] = {}
        statuses = self._statuses()
        if statuses is not None:
            # Nothing can be of no status at all; the store takes no empty list for it.
            asked["status"] = [str(each) for each in statuses] or [
                str(RunStatus.QUEUED)
            ]
        parents = self._positive("parent")
        if parents and all(each and not each.endswith("*") for each in parents):
            asked["parent"] = parents
        since = self._since(now)
        if since is not None:
            asked["since"] = since
        search = self._search()
        if search:
            asked["search"] = search
        return asked

    @property
    def is_whole(self) -> bool:
        """Whether `arguments` say all of it, so that `matches` need not be asked."""
        if not self.terms:
            return True
        statuses = self._statuses()
        words = [term for term in self.terms if not term.field]
        return (
            (statuses is None or bool(statuses))
            and len(words) <= 1
            and not any(term.is_negated for term in words)
            and all(
                term.field in ("", "status")
                or (term.field == "since" and not term.is_negated)
                or (term.field == "parent" and _is_exact(term))
                for term in self.terms
            )
        )

    @property
    def needs_waiting(self) -> bool:
        """Whether runs must be asked what they wait for before `matches`."""
        return any(self._of("queue"))

    def matches(self, run: Run, now: dt.datetime) -> bool:
        """Whether a run passes the whole filter."""
        statuses = self._statuses()
        return (
            (statuses is None or run.status in statuses)
            and all(
                _holds_word(term, run) != term.is_negated
                for term in self.terms
                if not term.field
            )
            and self._holds("since", lambda value: _is_since(value, run, now), all)
            and all(
                self._holds(field, partial(look, run)) for field, look in _LOOKS.items()
            )
        )

    def _of(self, field: str) -> Iterator[Term]:
        return (term for term in self.terms if term.field == field)

    def _positive(self, field: str) -> list[str]:
        return [term.value for term in self._of(field) if not term.is_negated]

    def _negated(self, field: str) -> list[str]:
        return [term.value for term in self._of(field) if term.is_negated]

    def _holds(
        self,
        field: str,
        is_so: Callable[[str], bool],
        joined: Callable[[Iterator[bool]], bool] = any,
    ) -> bool:
        wanted = self._positive(field)
        return (not wanted or joined(map(is_so, wanted))) and not any(
            map(is_so, self._negated(field))
        )

    def _statuses(self) -> list[RunStatus] | None:
        """The statuses that can pass; None where every one can."""
        wanted = set(RunStatus)
        positive = self._positive("status")
        if positive:
            wanted = {each for value in positive for each in _status(value)}
        for value in self._negated("status"):
            wanted -= set(_status(value))
        if self._positive("queue"):
            wanted &= set(UNFINISHED_RUN)
        if self._positive("error"):
            wanted &= {RunStatus.FAILED}
        if wanted == set(RunStatus):
            return None
        return [each for each in RunStatus if each in wanted]

    def _since(self, now: dt.datetime) -> dt.datetime | None:
        given = [durations.parse(value) for value in self._positive("since")]
        return _before(now, min(given)) if given else None

    def _search(self) -> str:
        """One text that is in every run that passes: the longest, it finds fewest."""
        texts = self._positive("")
        for field in ("name", "label"):
            some = self._positive(field)
            if len(some) == 1:
                texts += some
        return max(texts, key=len, default="")


def parse(text: str) -> Filter:
    """Read a filter.

    Raises:
        FilterError: an unknown field, status or duration; says what was meant.
    """
    terms: list[Term] = []
    wrong: FilterError | None = None
    for term in _terms(text):
        try:
            terms.append(_checked(term))
        except FilterError as error:
            wrong = wrong or error
    found = Filter(tuple(terms))
    if wrong is not None:
        wrong.kept = found
        raise wrong
    return found


def _terms(text: str) -> Iterator[Term]:
    place = 0
    while place < len(text):
        if text[place].isspace():
            place += 1
            continue
        is_negated = text[place] == "!"
        place += is_negated
        field = ""
        named = _FIELD.match(text, place)
        if named is not None:
            field, place = named[1].lower(), named.end()
        value, place = _value(text, place)
        if field or value:
            yield Term(field, value, is_negated)


def _value(text: str, place: int) -> tuple[str, int]:
    """A word or quoted text, and where it ends; while it is typed, a quote is open."""
    if text[place : place + 1] != '"':
        end = place
        while end < len(text) and not text[end].isspace():
            end += 1
        return text[place:end], end
    kept: list[str] = []
    place += 1
    while place < len(text) and text[place] != '"':
        place += text[place] == "\\" and text[place + 1 : place + 2] in ('"', "\\")
        kept.append(text[place])
        place += 1
    return "".join(kept), place + 1


def _checked(term: Term) -> Term:
    field, value, _ = term
    if field and field not in HELP:
        near = _near(field, HELP)
        known = ", ".join(f"{each}:" for each in HELP)
        hint = f"did you mean {near[0]}:?" if near else f"there are {known}."
        raise FilterError(
            f"there is no field {field}: {hint} To look for the text, write "
            f'"{field}:…" in quotes.'
        )
    if field == "status" and not _status(value):
        known_statuses = [*map(str, RunStatus), *_GROUPS]
        near = _near(value.lower(), known_statuses)
        hint = f"did you mean {near[0]}?" if near else f"{', '.join(known_statuses)}"
        what = f"there is no status {value!r}" if value else "status: needs one"
        raise FilterError(f"{what}: {hint}")
    if field == "since":
        try:
            durations.parse(value)
        except InvalidDuration:
            what = f"{value!r} is no duration" if value else "it needs a duration"
            raise FilterError(
                f"since: {what}: write since:30m, since:2h or since:1d"
            ) from None
    return term


def _status(value: str) -> tuple[RunStatus, ...]:
    """The statuses that a value names: a group, or the beginning of one status."""
    value = value.lower()
    if value in _GROUPS:
        return _GROUPS[value]
    found = tuple(each for each in RunStatus if each.value.startswith(value))
    return found if value and len(found) == 1 else ()


def _within(part: str, text: str | None) -> bool:
    return text is not None and part.casefold() in text.casefold()


def _holds_word(term: Term, run: Run) -> bool:
    texts = (run.run_id, run.workflow, run.label)
    return any(_within(term.value, text) for text in texts)


def _in_queue(run: Run, value: str) -> bool:
    keys = filter(None, map(_KEY.search, run.waiting))
    return any(_within(value, key[2]) for key in keys)


def _is_child(run: Run, value: str) -> bool:
    if run.parent is None or not value.endswith("*"):
        return run.parent is not None and value in ("", run.parent)
    return run.parent.startswith(value[:-1])


def _is_since(value: str, run: Run, now: dt.datetime) -> bool:
    return run.queued_at is not None and run.queued_at >= _before(
        now, durations.parse(value)
    )


def _before(now: dt.datetime, seconds: float) -> dt.datetime:
    try:
        return now - dt.timedelta(seconds=seconds)
    except OverflowError:
        return dt.datetime.min.replace(tzinfo=dt.UTC)


def _is_exact(term: Term) -> bool:
    return bool(term.value) and not term.value.endswith("*") and not term.is_negated


_LOOKS: Mapping[str, Callable[[Run, str], bool]] = {
    "name": lambda run, value: _within(value, run.workflow),
    "app": lambda run, value: _within(value, run.app),
    "label": lambda run, value: _within(value, run.label),
    "queue": _in_queue,
    "error": lambda run, value: (
        run.error is not None and _within(value, str(run.error))
    ),
    "parent": _is_child,
}


def _near(text: str, known: Iterable[str]) -> list[str]:
    from difflib import get_close_matches  # not needed unless something is wrong

    return get_close_matches(text, list(known), n=1, cutoff=0.5)
