"""Loading notebooks, files and modules: what is executed, what is found, errors."""

import dataclasses
import importlib
import inspect
import linecache
import pickle
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest

import nbflow
from nbflow.definition.apps import default_app
from nbflow.errors import NotebookError
from nbflow.notebook import Loaded, is_workflow, load_target
from nbflow.notebook.cells import read_cells
from nbflow.notebook.magic import parse_head

IMPORT = "from flowkit import workflow"
DEFINE = "@workflow\nasync def nightly(ctx, n: int = 2):\n    return n"


def load(path: Path, **options: Any) -> Loaded:
    return load_target(str(path), **options)


def numbers(loaded: Loaded) -> list[int]:
    return [cell.number for cell in loaded.cells]


def test_only_what_the_workflow_needs_is_executed(write: Any) -> None:
    path = write(
        f"%load_ext nbflow\n{IMPORT}",
        "import not_installed_here\nprint('hello')",
        "SCALE = 3\nOTHER = 1 / 0",
        "def helper(x):\n    return x * SCALE",
        "raise RuntimeError('an experiment')",
        "@workflow\nasync def nightly(ctx):\n    return helper(2)",
        "nightly.invoke()",
        "!rm -rf /tmp/never",
    )
    loaded = load(path)
    assert numbers(loaded) == [1, 3, 4, 6]
    assert loaded.left_out == (2, 5, 7, 8)
    assert loaded.workflow.name == "nightly"
    assert "OTHER" not in loaded.namespace
    assert sys.modules["flowkit"].calls == []
    assert loaded.namespace["helper"](2) == 6


def test_the_plan_says_why(write: Any) -> None:
    path = write(IMPORT, "SCALE = 3", "1 + 1", "SCALE += 1", f"{DEFINE} * SCALE")
    assert load(path).plan == [
        "cell 1: line 1 defines workflow, which 'nightly' needs",
        "cell 2: line 1 defines SCALE, which 'SCALE' needs",
        "cell 4: line 1 defines SCALE, which 'nightly' needs",
        "cell 5: lines 1-3 defines workflow 'nightly'",
        "left out: cell 3",
    ]


def test_the_last_binding_above_the_definition_counts(write: Any) -> None:
    path = write(
        IMPORT,
        "LIMIT = 1",
        "def helper():\n    return LIMIT",
        "LIMIT = 2",
        "@workflow\nasync def first(ctx):\n    return helper()",
        "LIMIT = 3",
    )
    assert load(path).namespace["helper"]() == 2


def test_a_helper_defined_below_is_found(write: Any) -> None:
    path = write(
        IMPORT,
        "@workflow\nasync def first(ctx):\n    return late()",
        "def late():\n    return VALUE",
        "VALUE = 5",
    )
    assert load(path).namespace["late"]() == 5


def test_a_name_needed_while_loading_is_bound_in_time(write: Any) -> None:
    path = write(
        IMPORT,
        "def size():\n    return N * 2",
        "N = 1",
        "SIZE = size()",
        "N = 10",
        "@workflow\nasync def first(ctx):\n    return SIZE, size()",
    )
    loaded = load(path)
    assert loaded.namespace["SIZE"] == 2
    assert loaded.namespace["size"]() == 20


@pytest.mark.parametrize(
    "change",
    [
        "cfg['a'] = 2",
        "cfg.update(a=2)",
        "for key in ['a']:\n    cfg[key] = 2",
        "cfg |= {'a': 2}",
        "cfg = {**cfg, 'a': 2}",
        "if True:\n    cfg = {'a': 2}",
        "def change(d): d['a'] = 2\ncfg = change(cfg) or cfg",
        "def change():\n    global cfg\n    cfg = {'a': 2}\ncfg.update(a=2)",
    ],
)
def test_changes_of_a_needed_object_are_made(write: Any, change: str) -> None:
    path = write(
        IMPORT,
        "cfg = {'a': 1}",
        change,
        "@workflow\nasync def first(ctx):\n    return cfg",
        "cfg['a'] = 3",
    )
    assert load(path).namespace["cfg"] == {"a": 2}


def test_looking_at_a_needed_object_is_left_out(write: Any) -> None:
    path = write(
        IMPORT,
        "cfg = {'a': 1}",
        "cfg\nprint(cfg)\ncfg.items()\n1 / 0",
        "@workflow\nasync def first(ctx):\n    return cfg",
    )
    assert numbers(load(path)) == [1, 2, 4]


def test_conditional_bindings_keep_the_earlier_one(write: Any) -> None:
    path = write(
        IMPORT,
        "mode = 'slow'",
        "if False:\n    mode = 'fast'",
        "try:\n    import nowhere_at_all as lib\nexcept ImportError:\n    lib = None",
        "@workflow\nasync def first(ctx):\n    return mode, lib",
    )
    loaded = load(path)
    assert loaded.namespace["mode"] == "slow"
    assert loaded.namespace["lib"] is None


def test_the_environment_is_set_up(write: Any, tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "mylib_of_test.py").write_text("VALUE = 7")
    path = write(
        f"import sys\nsys.path.insert(0, {str(tmp_path / 'src')!r})",
        f"{IMPORT}\nimport mylib_of_test",
        "@workflow\nasync def first(ctx):\n    return mylib_of_test.VALUE",
    )
    assert load(path).namespace["mylib_of_test"].VALUE == 7


def test_classes_can_be_pickled_and_keep_their_name(write: Any) -> None:
    path = write(
        f"from __future__ import annotations\n{IMPORT}",
        "from dataclasses import dataclass",
        "@dataclass\nclass Point:\n    x: int\n    next: Point | None = None",
        "@workflow\nasync def first(ctx) -> Point:\n    return Point(1)",
    )
    point = load(path).namespace["Point"]
    assert (point.__module__, point.__qualname__) == ("nbflow_notebook_demo", "Point")
    assert pickle.loads(pickle.dumps(point(1))) == point(1)
    assert next(iter(dataclasses.fields(point))).type == "int"
    assert load(path).namespace["Point"].__module__ == point.__module__


def test_two_notebooks_of_one_name_do_not_mix(write: Any, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    one = load(write(IMPORT, DEFINE))
    two = load(write(IMPORT, f"{DEFINE}  # another", name="other/demo.ipynb"))
    assert one.module.__name__ != two.module.__name__
    assert sys.modules[one.module.__name__] is one.module
    assert inspect.getsource(one.workflow.fn) == f"{DEFINE}\n"
    assert inspect.getsource(two.workflow.fn) == f"{DEFINE}  # another\n"
    assert default_app(two.module.__name__) == "demo"


def test_source_and_tracebacks_show_the_cells_own_lines(write: Any) -> None:
    cell = (
        "%matplotlib inline\n\n# a comment\n@workflow\nasync def first(ctx):\n"
        "    return helper()\n\ndef helper():\n    return 1 / 0"
    )
    loaded = load(write(IMPORT, "print()", cell))
    assert inspect.getsource(loaded.workflow.fn).startswith("@workflow\nasync def")
    with pytest.raises(ZeroDivisionError) as caught:
        loaded.namespace["helper"]()
    frame = traceback.extract_tb(caught.tb)[-1]
    assert (Path(frame.filename).name, frame.lineno) == ("demo.ipynb#cell-3", 9)
    assert frame.line == "return 1 / 0"
    assert linecache.getline(frame.filename, 3) == "# a comment\n"


@pytest.mark.parametrize(
    ("name", "chosen"), [(None, "main"), ("other", "other"), ("last", "third one")]
)
def test_which_workflow_runs(write: Any, name: str | None, chosen: str) -> None:
    path = write(
        IMPORT,
        "@workflow\nasync def other(ctx): ...",
        "@workflow\nasync def main(ctx): ...",
        "@workflow(name='third one')\nasync def last(ctx): ...",
    )
    target = f"{path}::{name}" if name else str(path)
    loaded = load_target(target)
    assert loaded.workflow.name == chosen
    assert list(loaded.workflows) == [chosen]
    assert list(load_target(target, every=True).workflows) == [
        "other",
        "main",
        "third one",
    ]


def test_without_main_the_last_defined_runs(write: Any) -> None:
    path = write(
        IMPORT,
        "@workflow\nasync def one(ctx): ...",
        "@workflow\nasync def two(ctx): ...",
    )
    assert load(path).workflow.name == "two"


@pytest.mark.parametrize(
    "definition",
    [
        "import flowkit\n@flowkit.workflow(retries=1)\nasync def wanted(ctx): ...",
        "from flowkit import workflow as wf\n@wf\nasync def wanted(ctx): ...",
        f"{IMPORT}\nasync def plain(ctx): ...\nwanted = workflow(plain, name='wanted')",
        f"{IMPORT}\nasync def p(ctx): ...\nx = workflow(name='wanted', retries=1)(p)",
        f"{IMPORT}\nquick = workflow(retries=0)\n@quick\nasync def wanted(ctx): ...",
        f"{IMPORT}\ndef make(n):\n    @workflow(name=f'wante{{n}}')\n"
        "    async def w(ctx): ...\n    return w\nx = make('d')",
        f"{IMPORT}\ndef make(n):\n    @workflow(name=n)\n"
        "    async def w(ctx): ...\n    return w\n"
        "all_of_them = [make(n) for n in ('wanted', 'b')]",
        f"{IMPORT}\nif True:\n    @workflow\n    async def wanted(ctx): ...",
        f"NAME = 'wanted'\n{IMPORT}\n@workflow(name=NAME)\nasync def w(ctx): ...",
    ],
)
def test_ways_to_define_a_workflow(write: Any, definition: str) -> None:
    path = write(definition, f"{IMPORT}\n@workflow\nasync def other(ctx): ...")
    assert load_target(f"{path}::wanted").workflow.name == "wanted"


def test_an_imported_workflow_can_be_named(write: Any, tmp_path: Path) -> None:
    (tmp_path / "flows_of_test.py").write_text(f"{IMPORT}\n{DEFINE}")
    path = write("from flows_of_test import nightly")
    assert load_target(f"{path}::nightly").workflow.name == "nightly"


def test_workflows_invoked_by_name_come_along(write: Any) -> None:
    path = write(
        f"{IMPORT}\nimport flowkit",
        "FACTOR = 2",
        "@workflow(name='a child')\nasync def child(ctx):\n    return FACTOR",
        "@workflow\nasync def unrelated(ctx): ...",
        "@workflow\nasync def parent(ctx):\n    await ctx.invoke('c', 'a child')",
    )
    loaded = load(path)
    assert list(loaded.workflows) == ["a child", "parent"]
    assert loaded.namespace["FACTOR"] == 2


def test_a_computed_target_brings_all_workflows(write: Any) -> None:
    path = write(
        IMPORT,
        "@workflow\nasync def one(ctx): ...",
        "@workflow\nasync def two(ctx): ...",
        "@workflow\nasync def parent(ctx, n: str):\n    return await ctx.invoke(n, n)",
    )
    assert set(load(path).workflows) == {"one", "two", "parent"}


def test_the_last_of_equal_names_counts_with_a_warning(write: Any) -> None:
    path = write(
        IMPORT,
        "@workflow(name='w')\nasync def one(ctx): ...",
        "@workflow(name='w')\nasync def two(ctx): ...",
    )
    loaded = load(path, every=True)
    assert loaded.workflow.fn.__name__ == "two"
    assert loaded.warnings == (
        "demo.ipynb defines workflow 'w' twice; the last one counts",
    )


class TestTags:
    def test_skip_is_never_executed_nor_read(self, write: Any) -> None:
        path = write(IMPORT, ("def broken(:", ["nbflow:skip"]), DEFINE)
        assert numbers(load(path)) == [1, 3]

    def test_setup_cells_and_the_definition_are_all(self, write: Any) -> None:
        path = write(
            IMPORT,
            (f"{IMPORT}\nprint('set up')\n%matplotlib inline", ["nbflow:setup"]),
            "SCALE = 1",
            "@workflow\nasync def first(ctx):\n    return SCALE",
        )
        loaded = load(path)
        assert numbers(loaded) == [2, 4]
        assert loaded.warnings == (
            "demo.ipynb: 'first' reads 'SCALE', which no cell that may be executed "
            "defines in plain Python (cell 3 does, and has no tag nbflow:setup, which "
            "other cells have).",
        )

    def test_parameters_are_replaced(self, write: Any) -> None:
        path = write(
            IMPORT,
            ("n = 1\nm = 1", ["parameters"]),
            "double = n * 2",
            "@workflow\nasync def first(ctx):\n    return double",
        )
        assert load(path).namespace["double"] == 2
        loaded = load(path, parameters={"n": 5, "k": 1})
        assert (loaded.namespace["double"], loaded.namespace["m"]) == (10, 1)
        assert loaded.warnings == ("demo.ipynb: no cell tagged parameters sets 'k'",)

    def test_parameters_need_a_cell_for_them(self, write: Any) -> None:
        with pytest.raises(NotebookError, match=r"no cell tagged parameters.*n would"):
            load(write(IMPORT, DEFINE), parameters={"n": 1})


class TestMagicCells:
    def test_a_body_becomes_a_workflow(self, write: Any) -> None:
        path = write(
            f"{IMPORT}\nimport nbflow\nBASE = 1",
            "%%workflow big-one(n: int = 2, k: str = ')') -> int --retries 5 "
            "--timeout 30s -r -i n=5\ntext = '''\nab\n'''\nif n:\n    return BASE",
            "%%workflow\n@workflow\nasync def plain(ctx): ...",
        )
        text = read_cells(path)[1].text
        assert text.splitlines() == [
            "async def big_one(ctx, *, n: int = 2, k: str = ')') -> int:",
            "    text = '''",
            "ab",
            "'''",
            "    if n:",
            "        return BASE",
            "",
            "big_one = __import__('nbflow').workflow(name='big-one', retries=5, "
            "timeout='30s')(big_one)",
        ]

    def test_it_is_executed_with_its_options(
        self, write: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.syspath_prepend(tmp_path)
        flowkit = importlib.import_module("flowkit")
        monkeypatch.setitem(vars(nbflow), "workflow", flowkit.workflow)
        path = write(
            "BASE = 1",
            "%%workflow nightly(n: int = 2) --retries 5 -i {'a': \"it's\"} --invoke\n"
            "return BASE + n",
        )
        loaded = load(path)
        assert numbers(loaded) == [1, 2]
        assert loaded.workflow.options == {"retries": 5}
        body = loaded.workflow.fn(None, n=3)
        with pytest.raises(StopIteration, match="4"):
            body.send(None)

    @pytest.mark.parametrize(
        ("line", "name", "options"),
        [
            ("%%workflow", "", {}),
            ("%%workflow a", "a", {}),
            ("%%workflow -r -i x=1", "", {}),
            ("%%workflow a -w --timeout=30s", "a", {"timeout": "'30s'"}),
            (
                "%%workflow a -> dict[str, int] --retry-delay 2",
                "a",
                {"retry_delay": "2.0"},
            ),
            ("%%workflow a ( x = (1, ) ) -r --as v", "a", {}),
        ],
    )
    def test_heads(self, line: str, name: str, options: dict[str, str]) -> None:
        head = parse_head(line)
        assert (head.name, head.options) == (name, options)

    @pytest.mark.parametrize(
        ("name", "function"),
        [
            ("\ufb01t", "fit"),  # a ligature
            ("\u00b5-test", "\u03bc_test"),  # the micro sign is a letter to Python
            ("x\u00b2", "x2"),
            ("\u2460", "_1"),
            ("2nd", "_2nd"),
            ("class", "_class"),
            ("\U0001f680", "_"),
        ],
    )
    def test_a_name_becomes_one_that_python_reads_the_same_way(
        self, name: str, function: str, write: Any
    ) -> None:
        assert parse_head(f"%%workflow {name}").function == function
        found = load(write(f"%%workflow {name}\nreturn 1"))
        assert found.workflows[name].fn.__name__ == function

    def test_a_parenthesis_that_is_never_closed(self, write: Any) -> None:
        with pytest.raises(NotebookError, match=r"cell 1 of demo\.ipynb: %%work"):
            load(write("%%workflow a(x\nreturn x"))


class TestErrors:
    def test_a_missing_file_names_its_neighbours(self, write: Any) -> None:
        path = write(IMPORT, DEFINE)
        with pytest.raises(NotebookError, match=r"no file .*deno.*: demo\.ipynb"):
            load(path.with_name("deno.ipynb"))

    def test_something_else_than_a_notebook(self, tmp_path: Path) -> None:
        path = tmp_path / "demo.ipynb"
        path.write_text("x = 1")
        with pytest.raises(NotebookError, match="is not a Jupyter notebook"):
            load(path)
        path.write_text("[1]")
        with pytest.raises(NotebookError, match="is not a Jupyter notebook"):
            load(path)

    def test_another_language(self, write: Any) -> None:
        with pytest.raises(NotebookError, match="a notebook for julia"):
            load(write("x = 1", language="julia"))

    def test_a_syntax_error_names_cell_and_line(self, write: Any) -> None:
        with pytest.raises(NotebookError, match=r"cell 2 of demo.ipynb, line 2: syn"):
            load(write(IMPORT, "x = 1\ndef (:", DEFINE))

    def test_no_workflow(self, write: Any) -> None:
        with pytest.raises(NotebookError, match=r"defines no workflow\. Put @workflow"):
            load(write("x = 1"))

    def test_an_unknown_workflow_names_the_known_ones(self, write: Any) -> None:
        path = write(IMPORT, DEFINE, DEFINE.replace("nightly", "hourly"))
        with pytest.raises(
            NotebookError, match=r"'nighty'. Did you mean 'nightly'\?.*nightly, hourly"
        ):
            load_target(f"{path}::nighty")

    def test_shell_syntax_in_what_is_needed(self, write: Any) -> None:
        path = write(IMPORT, "x = 1\nfiles = !ls", f"{DEFINE} + len(files)")
        with pytest.raises(
            NotebookError, match=r"cell 2 of demo.ipynb, line 2: 'files = !ls' is IPyt"
        ):
            load(path)

    def test_shell_syntax_elsewhere_is_no_matter(self, write: Any) -> None:
        path = write(
            f"!pip install \\\n  something\n{IMPORT}",
            "pip install x\n%time y = 1\n?str\nstr?\nif True:\n    !ls\n%cd ..",
            "%%bash\nls | (grep",
            "%%time\nSIZE = 3",
            f"{DEFINE} + SIZE + y",
        )
        loaded = load(path)
        assert numbers(loaded) == [1, 2, 4, 5]
        assert loaded.namespace["y"] == 1

    @pytest.mark.parametrize("above", ["%%time\n", "%%capture out\n%%time\n", "\n"])
    def test_a_workflow_below_other_cell_magics(self, write: Any, above: str) -> None:
        path = write(f"{above}%%workflow nightly(n: int = 2)\nreturn n")
        made = load(path).workflow
        assert made.name == "nightly"
        assert made.fn.__code__.co_firstlineno == above.count("\n") + 1

    def test_starting_a_run_for_what_is_needed(self, write: Any) -> None:
        path = write(
            IMPORT,
            DEFINE,
            "value = nightly.invoke(n=3).result()",
            "@workflow\nasync def second(ctx):\n    return value",
        )
        with pytest.raises(
            NotebookError,
            match=r"cell 3 .*line 1: 'nightly.invoke\(n=3\)' starts",
        ):
            load(path)
        assert load_target(f"{path}::nightly").workflow.name == "nightly"

    def test_a_cell_that_fails(self, write: Any) -> None:
        path = write(IMPORT, "a = 1\nb = {}['x']", f"{DEFINE} + b")
        with pytest.raises(
            NotebookError, match=r"cell 2 of demo\.ipynb, line 2 failed: KeyError: 'x'"
        ) as caught:
            load(path)
        assert isinstance(caught.value.__cause__, KeyError)
        assert "nbflow_notebook_demo" not in sys.modules

    def test_a_name_that_nothing_defines_is_warned_of(self, write: Any) -> None:
        loaded = load(write(IMPORT, f"{DEFINE} + nowhere"))
        assert loaded.warnings == (
            "demo.ipynb: 'nightly' reads 'nowhere', which no cell that may be executed "
            "defines in plain Python.",
        )

    @pytest.mark.parametrize("target", ["", "a-b.txt", "a b", "x.ipynb::", "a/b"])
    def test_what_is_no_target(self, target: str) -> None:
        with pytest.raises(NotebookError, match=r"Give notebook\.ipynb\[::workflow\]"):
            load_target(target)


def test_a_star_import_is_executed_when_names_are_missing(write: Any) -> None:
    path = write(
        "from math import *", IMPORT, "@workflow\nasync def a(ctx):\n    return tau"
    )
    loaded = load(path)
    assert numbers(loaded) == [1, 2, 3]
    assert loaded.warnings == ()


def test_a_top_level_await_is_executed(write: Any) -> None:
    path = write(
        f"{IMPORT}\nasync def fetch():\n    return 5",
        "VALUE = await fetch()",
        "@workflow\nasync def a(ctx):\n    return VALUE",
    )
    assert load(path).namespace["VALUE"] == 5


class TestFilesAndModules:
    def test_a_file(self, tmp_path: Path) -> None:
        path = tmp_path / "flows_a.py"
        path.write_text(f"{IMPORT}\n{DEFINE}\n@workflow\ndef main(ctx): ...")
        loaded = load(path)
        assert (loaded.stem, loaded.workflow.name) == ("flows_a", "main")
        assert loaded.module.__name__ == "flows_a"
        assert load_target(f"{path}::nightly").workflow.name == "nightly"
        assert loaded.plan == []

    def test_a_file_named_like_a_module(self, tmp_path: Path) -> None:
        sys.path.insert(0, str(tmp_path))
        path = tmp_path / "json.py"
        path.write_text(f"{IMPORT}\n{DEFINE}")
        assert load(path).module.__name__ == "nbflow_file_json"
        assert default_app("nbflow_file_json") == "json"

    def test_a_file_of_a_package(self, tmp_path: Path) -> None:
        package = tmp_path / "flowpackage"
        package.mkdir()
        (package / "__init__.py").write_text("")
        (package / "shared.py").write_text(IMPORT)
        path = package / "jobs.py"
        path.write_text(f"from .shared import workflow\n{DEFINE}")
        sys.path.insert(0, str(tmp_path))
        assert load(path).module.__name__ == "flowpackage.jobs"
        by_name = load_target("flowpackage.jobs:nightly", directory=tmp_path)
        assert by_name.workflow.name == "nightly"
        assert by_name.stem == "jobs"

    def test_own_workflows_come_before_imported_ones(self, tmp_path: Path) -> None:
        (tmp_path / "flows_b.py").write_text(f"{IMPORT}\n{DEFINE}")
        path = tmp_path / "flows_c.py"
        path.write_text(
            f"{IMPORT}\n@workflow\ndef own(ctx): ...\nfrom flows_b import *"
        )
        assert load(path).workflow.name == "own"

    def test_errors(self, tmp_path: Path) -> None:
        path = tmp_path / "flows_d.py"
        path.write_text("def (:")
        with pytest.raises(NotebookError, match=r"flows_d\.py cannot be loaded: syn"):
            load(path)
        with pytest.raises(NotebookError, match="there is no module flows_nowhere"):
            load_target("flows_nowhere", directory=tmp_path)
        path.write_text("x = 1  # no workflow here")
        with pytest.raises(NotebookError, match=r"flows_d\.py defines no workflow\."):
            load(path)
        with pytest.raises(NotebookError, match=r"flows_d\.py defines no workflow 'a'"):
            load_target(f"{path}::a")
        with pytest.raises(NotebookError, match="parameters are for notebooks"):
            load(path, parameters={"n": 1})


def test_workflows_are_known_by_their_mark() -> None:
    class Marked:
        __nbflow_workflow__ = True

    assert is_workflow(Marked())
    assert not is_workflow(Marked)
    assert not is_workflow(test_workflows_are_known_by_their_mark)
