"""Which runs were started by runs of other apps, among those that are listed.

A store knows its own children; of a run that another app has started it knows the id of
the parent, and lists it among those that nobody has started.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from nbflow.model import Run
from nbflow.view.listing import RunKey
from nbflow_tui.listed import Listed


class Family:
    """Parents and children across apps.

    Args:
        apps: what is listed of each.
    """

    def __init__(self, apps: Iterable[Listed]) -> None:
        listed = [
            run
            for app in apps
            for runs in (app.runs, *app.children.values())
            for run in runs
        ]
        self._apps: dict[str, set[str]] = defaultdict(set)
        strangers = []
        for run in listed:
            self._apps[run.run_id].add(run.app)
            if run.parent is not None:
                strangers.append(run)
        self._below: dict[RunKey, dict[str, Run]] = defaultdict(dict)
        for run in strangers:
            parent = self._parent(run)
            if parent is not None:
                self._below[parent][run.run_id] = run

    def elsewhere(self, parent: RunKey) -> Sequence[Run]:
        """The runs of other apps that one has started, as far as they are listed."""
        return tuple(self._below[parent].values()) if parent in self._below else ()

    def is_below_another(self, run: Run) -> bool:
        """Whether it is to be found below a run that is listed, of another app."""
        if run.parent is None:
            return False
        # Its parent may be below a run that is not opened.
        roots = self._apps.get(run.root_run_id or "", set())
        return self._parent(run) is not None or len(roots) == 1

    def _parent(self, run: Run) -> RunKey | None:
        """Its parent in another app; None where that is not listed, or not known.

        Users choose ids: those of two apps may be the same.
        """
        assert run.parent is not None
        apps = self._apps.get(run.parent, set())
        if len(apps) != 1 or run.app in apps:
            return None
        return next(iter(apps)), run.parent
