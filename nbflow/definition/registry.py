"""The workflows that this process has defined, by app and name."""

import sys
import threading

from nbflow.definition.spec import WorkflowSpec
from nbflow.errors import DuplicateWorkflow

_lock = threading.Lock()
_defined: dict[tuple[str, str], WorkflowSpec] = {}


def add(spec: WorkflowSpec) -> None:
    """Make `spec` known to the engines of its app.

    In a notebook a later definition of one name replaces the earlier one; so does
    the same function of a reloaded module.

    Raises:
        DuplicateWorkflow: a module defines a name that another function holds.
    """
    if spec.is_local:
        return  # served only where an engine lists it
    key = (spec.app, spec.name)
    with _lock:
        known = _defined.get(key)
        if known is not None and not _may_replace(known, spec):
            raise DuplicateWorkflow(
                f"workflow {spec.name!r} is defined twice in app {spec.app!r}: in "
                f"{_place(known)} and in {_place(spec)}. Names are unique in an app; "
                "give one of them another name= or app=.",
                workflow=spec.name,
            )
        _defined[key] = spec


def get(app: str, name: str) -> WorkflowSpec | None:
    """The newest definition of `name` in `app`."""
    return _defined.get((app, name))


def workflows(app: str) -> list[WorkflowSpec]:
    """Every workflow of `app`, in order of first definition."""
    return [spec for (where, _), spec in list(_defined.items()) if where == app]


def apps() -> list[str]:
    """The apps that have a workflow here, in order of first definition."""
    return list(dict.fromkeys(app for app, _ in list(_defined)))


def _may_replace(old: WorkflowSpec, new: WorkflowSpec) -> bool:
    if _interactive(new):
        return True
    return _origin(old) == _origin(new) and not _is_in_one_import(old, new)


def _is_in_one_import(old: WorkflowSpec, new: WorkflowSpec) -> bool:
    """Whether a module that is just being imported for the first time has both.

    A reload runs in the same globals too, but does not count as initializing.
    """
    module_spec = getattr(sys.modules.get(new.fn.__module__), "__spec__", None)
    is_importing = getattr(module_spec, "_initializing", False)
    return is_importing and old.fn.__globals__ is new.fn.__globals__


def _origin(spec: WorkflowSpec) -> tuple[str, str]:
    return spec.fn.__module__, spec.fn.__qualname__


def _place(spec: WorkflowSpec) -> str:
    line = spec.fn.__code__.co_firstlineno
    return f"{'.'.join(_origin(spec))} (line {line})"


def _interactive(spec: WorkflowSpec) -> bool:
    module = sys.modules.get(spec.fn.__module__)
    return module is None or not getattr(module, "__file__", None)
