"""Stored values as they can be looked at: a line, the head of a table, a picture."""

import base64
from typing import Any

from nbflow import codecs
from nbflow.codecs import Unresolved
from nbflow.widgets.run.protocol import Table, Value
from nbflow.widgets.run.texts import line

ROWS = 20
COLUMNS = 12

_CELL = 60
_IMAGE_BYTES = 15_000
_PNG = b"\x89PNG\r\n\x1a\n"
_LIBRARIES = ("pandas", "polars", "pyarrow")


def value_of(value: Any, more: str, limit: int = 4_000) -> Value:
    """A value as it can be looked at; no code of its class runs.

    Args:
        value: it, decoded among loaded classes.
        more: Python that gives all of it.
        limit: characters of its text.
    """
    table = _table(value)
    image = None
    is_cut = False
    if type(value) is bytes and value.startswith(_PNG):
        is_cut = len(value) > _IMAGE_BYTES
        image = None if is_cut else base64.b64encode(value).decode()
    text = codecs.preview(value, limit)
    is_cut = is_cut or text.endswith("…") or isinstance(value, Unresolved)
    if table is not None:
        is_cut = is_cut or bool(table["more"])
    return {
        "text": text,
        "table": table,
        "image": image,
        "more": more if is_cut else "",
    }


def _table(value: Any) -> Table | None:
    """The first rows of a table of a known library."""
    kind = type(value)
    root = str(type.__getattribute__(kind, "__module__")).partition(".")[0]
    if root not in _LIBRARIES or kind.__name__ not in ("DataFrame", "Table"):
        return None
    try:
        names, types, columns, size = _columns(root, value)
    except Exception:  # a preview is worth no error: the text says what it is
        return None
    rows = [
        [line(_cell(cell), _CELL) for cell in row] for row in zip(*columns, strict=True)
    ]
    more = ""
    if size[0] > ROWS or size[1] > COLUMNS:
        more = f"{size[0]:,} rows × {size[1]:,} columns"
    return {
        "columns": [line(name, _CELL) for name in names],
        "types": [line(each, _CELL) for each in types],
        "rows": rows,
        "more": more,
    }


def _cell(value: Any) -> str:
    """A cell as tables show it: text bare, six digits of a float, as pandas does."""
    if type(value) is str:
        return value[: _CELL + 1]
    return f"{value:.6g}" if type(value) is float else codecs.preview(value, _CELL)


def _columns(
    root: str, value: Any
) -> tuple[list[str], list[str], list[list[Any]], tuple[int, int]]:
    if root == "pandas":
        part = value.iloc[:ROWS, :COLUMNS]
        names = [str(name) for name in part.columns]
        types = [str(each) for each in part.dtypes]
        columns = [part.iloc[:, n].tolist() for n in range(part.shape[1])]
    elif root == "polars":
        part = value[:ROWS, :COLUMNS]
        names, types = list(part.columns), [str(each) for each in part.dtypes]
        columns = [each.to_list() for each in part.get_columns()]
    else:
        part = value.slice(0, ROWS).select(list(range(min(value.num_columns, COLUMNS))))
        names, types = (
            list(part.column_names),
            [str(each) for each in part.schema.types],
        )
        columns = [each.to_pylist() for each in part.columns]
    return names, types, columns, tuple(value.shape)
