"""Results as JSON on standard output."""

import datetime as dt
import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import BaseModel

from nbflow.cli.output import to_json
from nbflow.model import safe_text


@dataclass
class Page:
    title: Any


class Reply(BaseModel):
    body: Any


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({1: dt.date(2026, 1, 2), "b": math.nan}, {"1": "2026-01-02", "b": None}),
        ("a\ud800", "a\ud800"),
        ({"\ud800": 1}, {"\ud800": 1}),
        (Page("\ud800"), {"title": "\ud800"}),
        (Reply(body=[b"\xff", "\ud800"]), {"body": ["_w==", "\ud800"]}),
        ({frozenset({1}): dt.date(2026, 1, 2)}, {"frozenset({1})": "2026-01-02"}),
        ([pd.NaT, 1], [None, 1]),
        (
            pd.DataFrame({"day": pd.to_datetime(["2026-01-02", None])}),
            [{"day": "2026-01-02T00:00:00"}, {"day": None}],
        ),
        (np.array(["2026-01-02"], dtype="datetime64[s]"), ["2026-01-02T00:00:00"]),
    ],
)
def test_every_value_has_json(value: Any, shown: Any) -> None:
    assert json.loads(to_json(value)) == shown
    assert json.loads(to_json(value, indent=2)) == shown


@pytest.mark.parametrize(
    "text", ["\x7f", "\x85", "\x9b2J", "\u2028", "\u202e", "\ufeff"]
)
def test_json_that_is_safe_to_show_is_still_the_value(text: str) -> None:
    shown = to_json({"text": text, text: [1]}, indent=2)
    assert safe_text(shown, multiline=True) == shown
    assert json.loads(shown) == {"text": text, text: [1]}
