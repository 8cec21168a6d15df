"""What a step says is stored as well as it can be, and never fails the step."""

import json
import logging
import math
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

import nbflow
from nbflow import Context, RunFailed, workflow
from nbflow.model import EventType
from nbflow.testing import TestEngine

pytestmark = pytest.mark.anyio
SECRET = "hunter2-and-more"


async def said(lab: TestEngine, type: EventType, say: Any) -> list[dict[str, Any]]:
    """The data of the events that a step leaves."""

    @workflow
    async def main(ctx: Context) -> None:
        await ctx.run("say", say, retries=0)

    handle = lab.start(main)
    await handle
    return [dict(event.data) for event in handle.events() if event.type == type]


@pytest.mark.parametrize(
    ("done", "stored"),
    [
        (np.int64(3), 3),
        (np.float32(0.5), 0.5),
        (math.nan, None),
        (math.inf, None),
        (10**5000, None),
        (7, 7),
    ],
    ids=["numpy", "numpy float", "NaN", "infinity", "too long", "int"],
)
async def test_progress_takes_any_number(lab: TestEngine, done, stored):
    data = await said(
        lab, EventType.PROGRESS, lambda: nbflow.current().progress(done, np.int64(9))
    )
    assert data[0].get("done") == stored
    assert data[0]["total"] == 9
    json.dumps(data, allow_nan=False)


async def test_a_lone_surrogate_becomes_a_question_mark(lab: TestEngine):
    def say() -> None:
        nbflow.current().log("a\udc80b", **{"k\udc80": "v\udc80"})
        logger = logging.getLogger("of the step")
        logger.propagate = False  # pytest's own handler cannot take it
        logger.warning("c\udc80d")
        nbflow.current().progress(1, message="e\udc80f")

    lines = await said(lab, EventType.LOG, say)
    assert [line["message"] for line in lines] == ["a?b", "c?d"]


async def test_a_secret_is_masked_in_progress(lab: TestEngine, monkeypatch):
    monkeypatch.setenv("MY_API_KEY", SECRET)
    data = await said(
        lab,
        EventType.PROGRESS,
        lambda: nbflow.current().progress(1, 2, f"with {SECRET}"),
    )
    assert SECRET not in data[0]["message"]


@pytest.mark.parametrize("wait", [timedelta(seconds=1), math.nan, "1s"])
async def test_a_step_out_of_tries_that_asked_to_wait_fails_its_run(lab, wait):
    def limited() -> None:
        raise nbflow.RetryAfterError("too many", wait)

    @workflow
    async def main(ctx: Context) -> None:
        await ctx.run(limited, retries=0)

    with pytest.raises(RunFailed, match="too many"):
        await lab.run(main)


async def test_a_context_that_was_kept_refuses_what_comes_after_the_end(lab):
    kept = []

    @workflow
    async def main(ctx: Context) -> None:
        kept.append(ctx)

    await lab.run(main)
    with pytest.raises(nbflow.ContextClosed, match="is completed"):
        kept[0].log("too late")
