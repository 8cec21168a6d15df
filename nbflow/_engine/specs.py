"""The workflows of an engine's app, as they are now."""

from collections.abc import Callable, Mapping

from nbflow._engine import history
from nbflow._engine.commits import Commits
from nbflow._engine.journal import Journal
from nbflow._engine.options import NO_OPTIONS, StepPolicy, step_policy
from nbflow._engine.refusals import unknown_workflow
from nbflow.definition.spec import Target, WorkflowSpec


class Specs:
    """Finds definitions, and remembers for one commit what is costly to know of them.

    Args:
        app: the app's name.
        find: finds a workflow by name.
        known: lists the known ones.
        commits: a definition that was hashed holds till the next commit.
        is_fixed: whether no further ones will be defined.
    """

    def __init__(
        self,
        app: str,
        find: Callable[[str], WorkflowSpec | None],
        known: Callable[[], list[WorkflowSpec]],
        commits: Commits,
        is_fixed: bool,
    ) -> None:
        self.app = app
        self.is_fixed = is_fixed
        self.find = find
        self.known = known
        self.commits = commits
        self._policies: dict[WorkflowSpec, StepPolicy] = {}
        self._definitions: dict[WorkflowSpec, str] = {}
        self._definitions_of = -1

    def resolve(self, target: Target | str) -> WorkflowSpec:
        """The definition that a target stands for, here and now.

        Raises:
            WorkflowNotFound: the app has none of that name.
        """
        name = target if isinstance(target, str) else target.name
        app = None if isinstance(target, str) else target.target_app
        if app is None or app == self.app:
            spec = None if isinstance(target, str) else target.spec
            spec = spec or self.find(name)
            if spec is not None:
                return spec
        known = [spec.name for spec in self.known()] if app in (None, self.app) else []
        raise unknown_workflow(name, app or self.app, known)

    def default_policy(self, journal: Journal) -> StepPolicy:
        """The options of a run's steps that have none of their own."""
        spec = journal.spec
        assert spec is not None
        if journal.options is not NO_OPTIONS or journal.flow is not None:
            return step_policy(spec.options, journal.options, {}, flow=journal.flow)
        policy = self._policies.get(spec)
        if policy is None:
            policy = self._policies[spec] = step_policy(spec.options, NO_OPTIONS, {})
        return policy

    def definition(self, spec: WorkflowSpec) -> str:
        """Hash of a workflow as it is now, helpers included; made once a commit."""
        if self._definitions_of != self.commits.count:
            self._definitions_of = self.commits.count
            self._definitions.clear()
            self._policies.clear()
        known = self._definitions.get(spec)
        if known is None:
            known = self._definitions[spec] = spec.definition
        return known

    def classes(self, target: Target | str) -> Mapping[str, type]:
        """Classes named by the annotations of a workflow."""
        spec = self.find(target if isinstance(target, str) else target.name)
        return {} if spec is None else history.annotated_classes(spec.fn)
