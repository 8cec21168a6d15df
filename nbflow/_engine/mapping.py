"""`ctx.map`: a step, or a child run, per item."""

import asyncio
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from typing import Any

from nbflow import names
from nbflow._engine.branches import Branch
from nbflow._engine.calls import awaited_twice
from nbflow._engine.functions import refuse_coroutine
from nbflow._engine.invokes import InvokeCall
from nbflow._engine.life import Life
from nbflow._engine.steps import StepCall
from nbflow._store.payload import to_json
from nbflow.definition.spec import Target
from nbflow.errors import InvalidOption, MapError
from nbflow.model import EventType, step_label


class MapCall:
    """A `ctx.map` that was called; awaiting it runs the items."""

    __slots__ = ("_calls", "_id", "_is_awaited", "_key", "_limit", "_raises", "_run")

    def __init__(
        self,
        run: Life,
        key: str,
        id: str,
        calls: list[StepCall | InvokeCall],
        limit: int,
        raises: bool,
    ) -> None:
        self._is_awaited = False
        self._run = run
        self._key = key
        self._id = id
        self._calls = calls
        self._limit = limit
        self._raises = raises

    def __await__(self) -> Generator[Any, Any, list[Any]]:
        if self._is_awaited:
            raise awaited_twice(self._id, "ctx.map")
        self._is_awaited = True
        return self._perform().__await__()

    async def _perform(self) -> list[Any]:
        calls = self._calls
        results: list[Any] = [None] * len(calls)
        failed: dict[int, Exception] = {}
        waiting = iter(enumerate(calls))
        workers = min(self._limit, len(calls))
        if workers < len(calls):
            self._tell_total()
        try:
            if workers == 1:
                await _work(waiting, results, failed)
            else:
                await _together(
                    [_work(waiting, results, failed) for _ in range(workers)],
                    self._run.loop,
                )
        except BaseException:
            for _, call in waiting:  # nobody forgot to await these
                call.is_awaited = True
            raise
        if not failed:
            return results
        if not self._raises:
            return [failed.get(place, value) for place, value in enumerate(results)]
        first = min(failed)
        raise MapError(
            f"{len(failed)} of {len(calls)} items of map {self._id!r} failed, the "
            f"first of them {self._id}[{first}] with "
            f"{type(failed[first]).__name__}: {failed[first]}. The others' values are "
            "kept: correct the cause and resume the run, or pass errors='return'.",
            results=results,
            errors=[failed[place] for place in sorted(failed)],
            run_id=self._run.journal.id,
            step=self._id,
        )

    def _tell_total(self) -> None:
        """Record how many items there are, for views: not all begin at once."""
        run, total = self._run, len(self._calls)
        run.check_open(self._key)
        if run.memo is not None and run.memo.totals.get(self._key) == total:
            return  # a former life has told it
        data = to_json({"done": 0, "total": total, "message": None})
        run.journal.append(EventType.PROGRESS.value, self._key, data=data)
        run.core.commits.flush_later()


async def _work(
    waiting: Iterator[tuple[int, StepCall | InvokeCall]],
    results: list[Any],
    failed: dict[int, Exception],
) -> None:
    for place, call in waiting:
        try:
            results[place] = await call
        except Exception as exc:
            failed[place] = exc


async def _together(workers: list[Any], loop: asyncio.AbstractEventLoop) -> None:
    """Run the workers; if one is interrupted, all are."""
    tasks = [loop.create_task(worker) for worker in workers]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


def start(
    run: Life,
    branch: Branch,
    id: str,
    target: Callable[..., Any] | Target,
    items: Iterable[Any],
    key: Callable[[Any], object] | None,
    limit: int,
    errors: str,
    options: Mapping[str, Any],
) -> MapCall:
    """Draw the ids of all items, in their order, and make the calls."""
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise InvalidOption(
            f"limit of map {id!r} is {limit!r}: it must be a whole number of 1 or more",
            option="limit",
            value=limit,
        )
    if errors not in ("raise", "return"):
        raise InvalidOption(
            f"errors of map {id!r} is {errors!r}: it must be 'raise' or 'return'",
            option="errors",
            value=errors,
        )
    whole = branch.key(id)
    label = step_label(whole.rpartition("\x1f")[2])
    listed = list(items)
    item_ids = [
        names.check_id(f"{label}[{place if key is None else key(item)}]")
        for place, item in enumerate(listed)
    ]
    keys = [branch.key(item_id) for item_id in item_ids]
    item_of = id if key is None else None
    make = _maker(run, id, target, item_of, options)
    calls = [make(*pair) for pair in zip(keys, listed, strict=True)]
    return MapCall(run, whole, label, calls, limit, errors == "raise")


def _maker(
    run: Life,
    id: str,
    target: Callable[..., Any] | Target,
    item_of: str | None,
    options: Mapping[str, Any],
) -> Callable[[str, Any], StepCall | InvokeCall]:
    if isinstance(target, str) or getattr(target, "target_app", "") != "":
        chosen: Any = target
        return lambda key, item: InvokeCall(
            run, key, chosen, item, "invoke", options, item_of=item_of, is_item=True
        )
    refuse_coroutine(id, target)
    function: Any = target
    spec = getattr(function, "__nbflow_step__", None)
    policy = run.policy(spec.options if spec is not None else None, options)
    fn = spec.fn if spec is not None else function
    kwargs = options.get("kwargs") or {}
    return lambda key, item: StepCall(run, key, fn, (item,), kwargs, policy, item_of)
