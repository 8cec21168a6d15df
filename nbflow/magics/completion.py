"""Completes the magics' lines: options, verbs, names of workflows, ids of runs."""

import re
from collections.abc import Iterable
from typing import Any

from IPython.core.completer import (
    CompletionContext,
    SimpleCompletion,
    SimpleMatcherResult,
    context_matcher,
)

from nbflow.definition import registry
from nbflow.magics import verbs
from nbflow.magics.session import Session
from nbflow.model import RESUMABLE_RUN, RunStatus
from nbflow.notebook.options import OPTIONS

_LINE = re.compile(r"\s*(%%workflow|%workflow|%nbflow)(?=\s)(.*)", re.DOTALL)
_RUNS = 50


class Completions:
    """One matcher for all of nbflow's lines."""

    def __init__(self, session: Session) -> None:
        self._session = session

        @context_matcher(identifier="nbflow")
        def match(context: CompletionContext) -> SimpleMatcherResult:
            return self._match(context.text_until_cursor, context.token)

        self._matcher = match

    def install(self) -> None:
        """Have the shell's completer ask it."""
        self._session.shell.Completer.custom_matchers.append(self._matcher)

    def uninstall(self) -> None:
        """Undo `install`."""
        matchers = self._session.shell.Completer.custom_matchers
        if self._matcher in matchers:
            matchers.remove(self._matcher)

    def _match(self, text: str, token: str) -> SimpleMatcherResult:
        found = _LINE.match(text)
        words = _candidates(self._session, found[1], found[2]) if found else []
        last = "" if text[-1:].isspace() else re.split(r"\s", text)[-1]
        fitting = [word for word in words if word.startswith(last)]
        return {
            "completions": [
                SimpleCompletion(text=word, type="magic") for word in fitting
            ],
            "matched_fragment": last,
            "suppress": bool(fitting),
        }


def _candidates(session: Session, magic: str, rest: str) -> Iterable[str]:
    before = rest.split() if rest[-1:].isspace() else rest.split()[:-1]
    previous = before[-1] if before else ""
    if magic == "%nbflow":
        return [] if before else ["app"]
    if magic == "%%workflow":
        return _values(previous) or [flag for each in OPTIONS for flag in each.flags]
    if not before:
        return verbs.VERBS
    verb = before[0]
    known = verbs.VERBS.get(verb)
    if known is None:
        return []
    if verb == "runs" and previous == "--status":
        return [str(status) for status in RunStatus]
    if verb == "runs" and previous == "--workflow":
        return _workflows(session)
    if len(before) == 1 and known.names == "run":
        return _run_ids(session, verb)
    if len(before) == 1 and known.names == "workflow":
        return _workflows(session)
    return _values(previous) or known.flags


def _values(previous: str) -> tuple[str, ...]:
    """What the option before the cursor takes, where that is a fixed set."""
    for option in OPTIONS:
        if previous in option.flags:
            return option.choices
    return ()


def _workflows(session: Session) -> list[str]:
    here = {spec.name for spec in registry.workflows(session.app)}
    return sorted(here | {info.name for info in _quiet_list(session)})


def _quiet_list(session: Session) -> list[Any]:
    try:
        return session.client().workflows.list()
    except Exception:  # a completion must not fail
        return []


def _run_ids(session: Session, verb: str) -> list[str]:
    try:
        runs = session.client().runs.list(limit=_RUNS)
    except Exception:  # a completion must not fail
        return []
    if verb == "cancel":
        runs = [run for run in runs if not run.is_ended]  # type: ignore[assignment]
    elif verb == "resume":
        runs = [r for r in runs if not r.is_ended or r.status in RESUMABLE_RUN]  # type: ignore[assignment]
    return [run.run_id for run in runs]
