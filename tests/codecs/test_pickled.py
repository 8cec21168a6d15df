"""Pickles: only of classes the user allowed, and only the user's own."""

import hmac
import os
import pickle
import stat
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nbflow import codecs
from nbflow.codecs import Unresolved, _pickled, _walk
from nbflow.errors import InvalidOption, NotSerializable, StoreDamaged, UnsafeStore


class Model:
    def __init__(self, weights: Any) -> None:
        self.weights = weights


class Better(Model):
    pass


class Bomb:
    """Unpickling it makes a file."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.canary),)


@pytest.fixture(autouse=True)
def key_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    monkeypatch.setattr(_pickled, "_allowed", set())
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("APPDATA", str(tmp_path / "config"))
    _walk.forget_encoders()
    yield tmp_path / "config" / "nbflow" / "pickle.key"
    _walk.forget_encoders()


def test_nothing_is_pickled_without_permission(key_file: Path) -> None:
    with pytest.raises(NotSerializable, match="allow_pickle"):
        codecs.encode(Model(1))
    assert not key_file.exists()


def test_an_allowed_class_and_its_subclasses_read_back(again: Any) -> None:
    codecs.allow_pickle(Model)
    read = again({"m": Model([1.5]), "big": Better(bytes(9000))})
    assert read["m"].weights == [1.5]
    assert type(read["big"]) is Better


def test_the_key_is_the_users_own(key_file: Path) -> None:
    codecs.allow_pickle(Model)
    codecs.encode(Model(1))
    assert len(key_file.read_bytes()) == 32
    if sys.platform != "win32":
        assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
        assert stat.S_IMODE(key_file.parent.stat().st_mode) == 0o700
    assert list(key_file.parent.iterdir()) == [key_file]


def test_one_key_is_made_however_many_start_at_once() -> None:
    codecs.allow_pickle(Model)
    texts: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: texts.append(codecs.encode(Model(1)).text))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(texts)) == 1
    assert len(texts) == 8


def test_a_strangers_store_is_refused_and_not_unpickled(
    key_file: Path, tmp_path: Path
) -> None:
    codecs.allow_pickle(Bomb)
    canary = tmp_path / "canary"
    text = codecs.encode(Bomb(canary)).text
    key_file.unlink()
    with pytest.raises(UnsafeStore, match=r"not made by this user.*again"):
        codecs.decode(text)
    assert not canary.exists()


def test_a_pickle_cannot_be_moved_to_another_class() -> None:
    codecs.allow_pickle(Model)
    text = codecs.encode(Model(1)).text
    with pytest.raises(UnsafeStore):
        codecs.decode(text.replace(b":Model", b":Better"))


def test_a_changed_pickle_is_refused() -> None:
    codecs.allow_pickle(Model)
    text = codecs.encode(Model("aaaa")).text
    changed = codecs.encode(Model("aaab")).text
    seal = changed[changed.index(b'"seal"') :]
    with pytest.raises(UnsafeStore):
        codecs.decode(text[: text.index(b'"seal"')] + seal)


def test_a_process_that_did_not_allow_it_sees_unresolved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    codecs.allow_pickle(Model)
    text = codecs.encode([Model(1)]).text
    monkeypatch.setattr(_pickled, "_allowed", set())
    assert codecs.decode(text) == [Unresolved(f"{__name__}:Model")]


def test_a_pickle_that_makes_something_else_is_damaged(tmp_path: Path) -> None:
    codecs.allow_pickle(Bomb)
    text = codecs.encode(Bomb(tmp_path / "made by the user's own class")).text
    with pytest.raises(StoreDamaged, match="holds a builtins:NoneType"):
        codecs.decode(text)


def test_what_cannot_be_pickled_is_named() -> None:
    codecs.allow_pickle(Model)
    with pytest.raises(NotSerializable, match="cannot be pickled") as caught:
        codecs.encode({"m": Model(lambda: 1)})
    assert caught.value.path == 'value["m"]'


@pytest.mark.skipif(sys.platform == "win32", reason="no such modes")
@pytest.mark.parametrize("harm", ["mode", "short", "link"])
def test_a_key_that_others_could_know_is_refused(harm: str, key_file: Path) -> None:
    codecs.allow_pickle(Model)
    codecs.encode(Model(1))
    if harm == "mode":
        key_file.chmod(0o644)
    elif harm == "short":
        key_file.write_bytes(b"x")
    else:
        key_file.rename(key_file.with_name("other"))
        key_file.symlink_to("other")
    with pytest.raises((UnsafeStore, NotSerializable), match=r"pickle\.key"):
        codecs.encode(Model(1))


@pytest.mark.parametrize("cls", [object, int, dict, type])
def test_allowing_everything_is_refused(cls: type) -> None:
    with pytest.raises(InvalidOption, match="name one"):
        codecs.allow_pickle(cls)


def test_the_seal_covers_name_and_data(key_file: Path) -> None:
    codecs.allow_pickle(Model)
    codecs.encode(Model(1))
    forged = hmac.new(key_file.read_bytes(), pickle.dumps(1), "sha256").hexdigest()
    assert _pickled._seal("a:B", pickle.dumps(1)) != forged
