"""What the browser asks for, carried out through the client; may block.

`perform` runs in a thread of its own and returns the answer to send.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

from nbflow.errors import InvalidOption, NbflowError
from nbflow.model import StepStatus
from nbflow.view import plain, plan_line
from nbflow.view.schema import Problem, fields
from nbflow.view.schema import problems as schema_problems
from nbflow.widgets.outputs import cell_name
from nbflow.widgets.run.details import holder_detail, run_detail, step_detail
from nbflow.widgets.run.live import Live
from nbflow.widgets.run.protocol import Ack, PlanTold, Told
from nbflow.widgets.run.row import counts_of
from nbflow.widgets.run.texts import NAME, line

_TEXT = 1_000
_SHOWN = 50


def perform(live: Live, message: Mapping[str, Any]) -> Any:
    """Carry out a message of the browser; what to answer, None for nothing."""
    kind = message.get("t")
    try:
        if kind == "detail":
            return _detail(live, _number(message.get("row")))
        if kind == "plan":
            return _plan(live)
        if kind in _ACTS:
            return _ack(message, True, _ACTS[kind](live, message))
    except InvalidOption as error:
        ack = _ack(message, False, str(error))
        ack["problems"] = {
            line(name, NAME): line(text, NAME) for name, text in error.problems.items()
        }
        return ack
    except NbflowError as error:
        return _ack(message, False, str(error))
    except Exception as error:  # the browser waits for an answer
        return _ack(message, False, f"{type(error).__name__}: {error}")
    return None


def _ack(message: Mapping[str, Any], ok: bool, text: str) -> Ack:
    cmd = _number(message.get("cmd"))
    return {"t": "ack", "cmd": cmd, "ok": ok, "text": line(text, _TEXT)}


def _cancel(live: Live, message: Mapping[str, Any]) -> str:
    if live.client.runs.cancel(live.run_id, reason="by hand"):
        return "canceled"
    run = live.client.runs.get(live.run_id)
    if run.is_ended:
        return f"it had ended already: {run.status}"
    return "recorded: takes effect when an engine starts"


def _resume(live: Live, message: Mapping[str, Any]) -> str:
    refresh = "stale" if message.get("stale") else None
    live.client.runs.resume(live.run_id, refresh=refresh)
    live.look_again()
    return "resumed"


def _rerun(live: Live, message: Mapping[str, Any]) -> str:
    handle = live.client.runs.rerun(live.run_id)
    return f"started {handle.run_id}: %workflow show {handle.run_id}"


def _answer(live: Live, message: Mapping[str, Any]) -> str:
    row = _number(message.get("row"))
    found = live.step_of(row)
    if found is None or found[2] is None:
        return "the question is gone"
    client, run_id, step = found
    assert step is not None
    value = message.get("value")
    schema = live.schema_of(row) or {}
    problems = _problems_of(value, schema)
    if problems and not client.is_served():
        # Nobody would refuse it before an engine comes.
        raise _misfit(problems, schema)
    try:
        client.runs.answer(run_id, step, value)
    except InvalidOption as error:
        if not problems:
            problems = [Problem(*each) for each in error.problems.items()]
        if not problems:
            raise
        raise _misfit(problems, schema) from None
    return "answered"


def _problems_of(value: Any, schema: Mapping[str, Any]) -> list[Problem]:
    found = schema_problems(value, schema)
    if found and isinstance(value, str):
        with suppress(ValueError, RecursionError):  # text may be the answer as JSON
            if not schema_problems(json.loads(value), schema):
                return []
    return found


def _misfit(problems: Iterable[Problem], schema: Mapping[str, Any]) -> InvalidOption:
    """What is wrong with an answer, by the fields of its form: first comes first."""
    names = [name for name, _, _ in fields(schema)] or [""]
    told: dict[str, str] = {}
    others: list[str] = []
    for problem in problems:
        field = next((name for name in names if _is_of(problem.path, name)), None)
        if field is None:
            others.append(str(problem))
        else:
            inside = problem.path[len(field) :].removeprefix(".")
            told.setdefault(field, str(Problem(inside, problem.text)))
    text = "; ".join(others) or "the answer does not fit: correct what is marked"
    return InvalidOption(text, option="answer", problems=told)


def _is_of(path: str, field: str) -> bool:
    """Whether a place is that of a field, or inside of it."""
    # A form without names is one field.
    return not field or path == field or path.startswith((f"{field}.", f"{field}["))


_ACTS: Mapping[Any, Callable[[Live, Mapping[str, Any]], str]] = {
    "cancel": _cancel,
    "resume": _resume,
    "rerun": _rerun,
    "answer": _answer,
}

ANSWERED = frozenset(_ACTS)
"""Commands, answered by `ack`."""
ASKED = frozenset({"detail", "plan"})
"""Questions, answered by what they ask for."""


def _plan(live: Live) -> PlanTold:
    plan = live.client.runs.resume(live.run_id, plan=True)
    return {
        "t": "p",
        "text": plain(plan_line(plan)),
        "kept": len(plan.kept),
        "to_run": [line(name, NAME) for name in plan.to_run[:_SHOWN]],
        "stale": [line(name, NAME) for name in plan.stale[:_SHOWN]],
        "seconds": plan.duration,
    }


def _detail(live: Live, row: int) -> Told | None:
    found = live.step_of(row)
    if found is None:
        return None
    client, run_id, name = found
    holder = live.holder_of(row)
    if holder is not None:
        node, status = holder
        counts = counts_of(node)
        told = holder_detail(row, node.label, node.kind, status, counts)
        return {"t": "t", "detail": told}
    events = client.runs.log(run_id, name)
    if name is None:
        told = run_detail(client.runs.get(run_id), events, cell_name)
        return {"t": "t", "detail": told}
    step = client.runs.step(run_id, name)
    why = None
    if step.status is StepStatus.QUEUED and step.flow_key is not None:
        key = client.flow_control.get(step.flow_key)
        waiters = (each for each in key.waiting if each.run_id == run_id)
        why = next((each.why for each in waiters if each.step == step.name), None)
    told = step_detail(step, row, events, cell_name, why)
    return {"t": "t", "detail": told}


def _number(value: Any) -> int:
    return value if type(value) is int else 0
