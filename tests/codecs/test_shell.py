"""Lines of `!command`, as IPython gives them to a notebook's variable."""

import sys

import pytest
from IPython.utils.text import LSString, SList

from nbflow import NotSerializable, codecs


def test_lines_read_back_as_they_were() -> None:
    lines = SList(["a.csv 1", "b.csv 2"])
    assert lines.n == "a.csv 1\nb.csv 2"  # kept beside the items from now on
    back = codecs.decode(codecs.encode({"files": lines}).text)["files"]
    assert type(back) is SList
    assert back == lines
    assert back.fields(0) == ["a.csv", "b.csv"]
    assert back.n == lines.n


def test_lines_have_a_fingerprint_and_a_preview() -> None:
    one, other = SList(["a"]), SList(["b"])
    first = codecs.fingerprint((one,), {}).mark
    assert first == codecs.fingerprint((SList(["a"]),), {}).mark
    assert first != codecs.fingerprint((other,), {}).mark
    assert codecs.preview(one) == "['a']"


def test_without_ipython_they_are_unresolved(monkeypatch: pytest.MonkeyPatch) -> None:
    text = codecs.encode(SList(["a"])).text
    monkeypatch.delitem(sys.modules, "IPython.utils.text")
    back = codecs.decode(text)
    assert back == codecs.Unresolved("IPython.utils.text:SList", ["a"])


def test_other_lists_of_that_name_are_refused() -> None:
    other = type("SList", (list,), {"__module__": "IPython.utils.text"})
    for value in (other(["a"]), type("Mine", (SList,), {})(["a"]), LSString("a")):
        with pytest.raises(NotSerializable):
            codecs.encode(value)
