"""`%%workflow`: defines the workflow of a cell, starts a run of it, waits for it."""

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from nbflow.client import RunHandle
from nbflow.definition import registry
from nbflow.engine import process_host
from nbflow.errors import (
    DefinitionError,
    NotebookError,
    RunFailed,
    WorkflowNotFound,
)
from nbflow.magics import display, tracebacks
from nbflow.magics.compile import Cell, compile_body, run_functions
from nbflow.magics.session import Session
from nbflow.magics.tracebacks import CellSyntaxError
from nbflow.magics.unfinished import tell_unfinished
from nbflow.model import ErrorInfo, safe_text
from nbflow.notebook import is_workflow
from nbflow.notebook.magic import Head, is_function_cell, parse_head
from nbflow.notebook.options import Options, nearest
from nbflow.workflows import Workflow, start_run, workflow


def run_cell(session: Session, line: str, body: str) -> Any:
    """Define the cell's workflows and do what the options ask for.

    Returns:
        With --wait the run's result; for functions the cell's last expression.

    Raises:
        NotebookError: the line or the cell cannot be used.
        RunFailed, RunCanceled, RunSkipped: the run that was waited for ended so.
    """
    head = parse_head(line)
    place = session.place(line, body)
    value = None
    if is_function_cell(head, body):
        defined, value = _define_functions(session, head, body, place)
    else:
        defined = [_define_body(session, head, body, place)]
    options = head.given
    session.tell_home()
    tell_unfinished(session, apart=options.run_id)
    if not options.starts:
        if not options.quiet:
            for each in defined:
                print(_told(each))
        return value
    return start(session, defined[-1], options, is_defined_so=True)


def start(
    session: Session,
    target: Workflow[Any, Any],
    options: Options,
    *,
    is_defined_so: bool = False,
) -> Any:
    """Start a run and show it; wait for it if that is asked for or nobody looks.

    Args:
        session: the shell.
        target: the workflow.
        options: how to start it.
        is_defined_so: retries, time-out and so on are in its definition already.

    Returns:
        The result, where it was waited for.
    """
    payload = read_input(session, options)
    given = name_options(options)
    if not is_defined_so:
        given |= definition_options(session, options)
    spec = target.options(**given).spec
    values = spec.inputs.validate_payload(payload)
    host = process_host(target.app)
    begin = partial(start_run, host, spec, values, given)
    return follow(session, begin, options)


def follow(
    session: Session, begin: Callable[[], RunHandle[Any]], options: Options
) -> Any:
    """Begin a run and show it; wait for it if that is asked for or nobody looks."""
    view = "none" if options.quiet else options.view or session.settings.view
    waits = options.wait or not session.is_interactive
    is_live = session.is_interactive and display.is_kernel()
    handle: RunHandle[Any] | None = None
    try:
        with session.interrupts.held():
            handle = begin()
            session.names["_run"] = handle
            if options.variable:
                session.names[options.variable] = handle
            if is_live or not waits:
                display.show_run(handle, view)
        if not waits:
            return None
        value = handle.result()
    except KeyboardInterrupt as error:
        # Also one that came before the wait, which cancels its run itself.
        if waits and handle is not None:
            session.interrupts.interrupted(handle, error)
        raise
    except RunFailed as error:
        failed = _in_short(session, error)
        if failed is error:
            raise
        raise failed from error.__cause__
    finally:
        if waits and not is_live and handle is not None:
            display.show_run(handle, view)
    return value if options.wait else None


def find(session: Session, name: str) -> Workflow[Any, Any] | None:
    """The workflow of that name that this notebook has defined."""
    spec = registry.get(session.app, name)
    if spec is not None:
        return Workflow(spec)
    value = session.names.get(name)
    return value if is_workflow(value) else None


def unknown(session: Session, name: str, known: list[str]) -> WorkflowNotFound:
    """The error for a name that nobody knows."""
    hint = f": {nearest(name, known)}" if known else " yet; define one with %%workflow"
    return WorkflowNotFound(
        f"app {session.app!r} has no workflow {name!r}{hint}", workflow=name
    )


def read_input(session: Session, options: Options) -> Any:
    """The payload: the whole input, with the fields that are given apart.

    Raises:
        NotebookError: an expression fails, or fields meet a whole that has none.
    """
    payload: Any = None
    fields: dict[str, Any] = {}
    for name, source in options.inputs:
        value = _evaluate(session, source, f"-i {name}=" if name else "-i ")
        if name:
            fields[name] = value
        else:
            payload = value
    if not fields:
        return payload
    if payload is not None and not isinstance(payload, Mapping):
        raise NotebookError(
            f"-i gives the whole input as {type(payload).__name__}, which takes no "
            f"fields such as {next(iter(fields))}: give one or the other"
        )
    return {**(payload or {}), **fields}


def name_options(options: Options) -> Any:
    """The options that only a run has: its id and label, where they are given."""
    return _given({"run_id": options.run_id, "label": options.label})


def definition_options(session: Session, options: Options) -> dict[str, Any]:
    """The options that workflows have as well, with the flow control as an object."""
    flow = None
    if options.flow_control is not None:
        flow = _evaluate(session, options.flow_control, "--flow-control ")
    return _given(
        {
            "retries": options.retries,
            "retry_delay": options.retry_delay,
            "timeout": options.timeout,
            "flow_control": flow,
        }
    )


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _define_body(
    session: Session, head: Head, body: str, place: Cell
) -> Workflow[Any, Any]:
    function = compile_body(session.shell, head, body, place)
    options = definition_options(session, head.given)
    made = workflow(name=head.name, **options)(function)
    session.names[head.function] = made
    return made


def _define_functions(
    session: Session, head: Head, body: str, place: Cell
) -> tuple[list[Workflow[Any, Any]], Any]:
    try:
        file, value = run_functions(session.shell, body, place)
    except CellSyntaxError as error:
        if "outside function" not in str(error):
            raise
        if not head.name:
            # Not a usage error: the line it stands in is shown.
            raise CellSyntaxError(_about_functions(error.syntax_error)) from None
        # `return` and `await` of a body that has a function of the workflow's name.
        raise NotebookError(
            f"the cell defines {head.function!r}, so that function is taken for the "
            f"workflow, but {error}. If the cell is the workflow's body, give the "
            "workflow or the function another name"
        ) from None
    names = session.names
    if head.name:
        plain = names.get(head.function)
        if inspect.isfunction(plain):
            options = definition_options(session, head.given)
            names[head.function] = workflow(name=head.name, **options)(plain)
        elif head.options:
            option = next(iter(head.options))
            raise DefinitionError(
                f"{head.name!r} is a workflow already: give {option} where it is made, "
                f"as in @workflow({option}=…)"
            )
    found = {
        id(each): each
        for each in list(names.values())
        if is_workflow(each) and each.fn.__code__.co_filename == file
    }
    defined = sorted(found.values(), key=lambda each: each.fn.__code__.co_firstlineno)
    wanted = [each for each in defined if each.name == head.name] or defined
    if not wanted:
        raise NotebookError(
            "the cell defines no workflow: put @workflow above a function, or give the "
            "function's name, as in %%workflow fetch"
        )
    return wanted, value


def _about_functions(error: SyntaxError) -> SyntaxError:
    """The error, with what to do in a cell that holds functions."""
    error.msg += (
        ": leave the %%workflow line out, functions with @workflow do without it"
        if error.msg.startswith("'await'")
        else ": name the workflow whose body this is, as in %%workflow nightly"
    )
    return error


def _evaluate(session: Session, source: str, what: str) -> Any:
    try:
        return eval(source, session.names)
    except Exception as error:
        raise NotebookError(
            f"{what}{source}: {type(error).__name__}: {error}"
        ) from error


def _told(defined: Workflow[Any, Any]) -> str:
    """ "nightly(n: int = 2) is defined: %workflow invoke nightly"."""
    parameters = list(inspect.signature(defined.fn).parameters.values())[1:]
    shown = [str(each.replace(kind=each.KEYWORD_ONLY)) for each in parameters]
    text = f"{defined.name}({', '.join(shown)})"
    return safe_text(
        f"{text} is defined; `%workflow invoke {defined.name}` or "
        f"{defined.fn.__name__}.invoke(…) starts a run"
    )


def _in_short(session: Session, error: RunFailed) -> RunFailed:
    """The error of the cell: "Type: message", shown with the run's own frames."""
    info = error.error
    if not session.settings.short_errors or info is None:
        return error
    failed = type(error)(
        str(info) if isinstance(info, ErrorInfo) else f"{info.type}: {info.message}",
        error=info,
        run_id=error.run_id,
        step=error.step,
        workflow=error.workflow,
    )
    tracebacks.show_as(failed, lambda: tracebacks.failed_run(failed))
    return failed
