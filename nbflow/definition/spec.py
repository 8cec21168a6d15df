"""What the engine knows of a workflow or step: plain records, no behaviour of a run.

`nbflow.workflow` wraps them for users; the engine executes them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from inspect import iscoroutinefunction
from typing import Any, Protocol, runtime_checkable

from nbflow.definition.apps import source_file
from nbflow.definition.inputs import InputModel
from nbflow.definition.source import definition_hash, source_text
from nbflow.policy import RunOptions, StepOptions


@dataclass(frozen=True, eq=False)
class WorkflowSpec:
    """One definition of a workflow: its name, function, input and options.

    A later definition of the same name is another `WorkflowSpec`; runs that
    already execute keep the one they started with.
    """

    name: str
    app: str
    fn: Callable[..., Any]
    inputs: InputModel
    options: RunOptions = field(default_factory=RunOptions)
    on_failure: "Target | str | None" = None
    has_own_app: bool = False  # its decorator names the app

    @property
    def definition(self) -> str:
        """Hash of the body and of the functions beside it that it names, as they are.

        Not remembered: a helper may be defined again in another cell.
        """
        return definition_hash(self.fn)

    @cached_property
    def source(self) -> str | None:
        """The function's text, None when Python cannot find it."""
        return source_text(self.fn)

    @cached_property
    def target(self) -> str | None:
        """What loads it again, as in `/home/a/x.ipynb::fetch`; None if unknown."""
        file = source_file(getattr(self.fn, "__module__", None))
        return None if file is None or self.is_local else f"{file}::{self.name}"

    @cached_property
    def is_async(self) -> bool:
        """Whether the body runs on the engine's loop (else in a thread)."""
        return iscoroutinefunction(self.fn)

    @property
    def is_local(self) -> bool:
        """Whether it was defined inside another function."""
        return "<locals>" in getattr(self.fn, "__qualname__", "")


@runtime_checkable
class Target(Protocol):
    """Something `ctx.invoke` can address: a workflow or a reference to one."""

    @property
    def name(self) -> str:
        """The workflow's name."""
        ...

    @property
    def target_app(self) -> str | None:
        """Its app; None for the caller's."""
        ...

    @property
    def spec(self) -> WorkflowSpec | None:
        """Its definition, when this process holds it."""
        ...


@dataclass(frozen=True, eq=False)
class StepSpec:
    """A function that was made a step by `@step`."""

    fn: Callable[..., Any]
    id: str
    options: StepOptions = field(default_factory=StepOptions)
