import stat

import pytest

from nbflow._store import paths
from nbflow._store.reader import SqliteReader
from nbflow._store.sqlite import SqliteWriter
from nbflow.errors import (
    InvalidName,
    NotAStore,
    StoreError,
    UnsupportedFileSystem,
)

MOUNTS = """\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
30 27 0:40 / /home rw shared:1 - nfs4 server:/home rw
31 30 0:41 / /home/me/local rw - xfs /dev/vdb rw
32 27 0:42 / /mnt/with\\040space rw - fuse.sshfs me@host: rw
33 27 0:43 / /data rw - ext4 /dev/vdc rw
34 33 0:44 / /data rw - 9p share rw
"""


@pytest.fixture(autouse=True)
def _no_home_in_the_environment(monkeypatch):
    monkeypatch.delenv("NBFLOW_HOME", raising=False)


def test_the_nearest_home_upwards_is_found(tmp_path, monkeypatch):
    (tmp_path / ".nbflow").mkdir()
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)

    assert paths.find_home() == tmp_path / ".nbflow"
    (deep.parent / ".nbflow").mkdir()
    assert paths.find_home() == deep.parent / ".nbflow"


def test_without_one_it_is_made_in_the_working_folder_if_asked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert paths.find_home() == tmp_path / ".nbflow"
    assert not (tmp_path / ".nbflow").exists()

    paths.find_home(create=True)
    assert stat.S_IMODE((tmp_path / ".nbflow").stat().st_mode) == 0o700


def test_the_environment_and_then_the_argument_win(tmp_path, monkeypatch):
    (tmp_path / ".nbflow").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NBFLOW_HOME", str(tmp_path / "named"))

    assert paths.find_home() == tmp_path / "named"
    assert paths.find_home(tmp_path / "given", create=True) == tmp_path / "given"
    assert (tmp_path / "given" / ".gitignore").exists()


def test_a_home_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(NotAStore, match=r"notes.txt: is not a folder; name the"):
        paths.find_home(tmp_path / "notes.txt")


def test_an_own_gitignore_is_left_alone(tmp_path):
    home = paths.find_home(tmp_path / "x" / ".nbflow", create=True)
    (home / ".gitignore").write_text("mine\n")
    paths.find_home(home, create=True)
    assert (home / ".gitignore").read_text() == "mine\n"


@pytest.mark.parametrize("app", ["a", "Report-2026_v1.2", "x" * 128])
def test_app_names(tmp_path, app):
    assert paths.app_dir(tmp_path, app) == tmp_path / app


@pytest.mark.parametrize("app", ["", ".", "..", ".x", "a/b", "a\n", "ä", "x" * 129])
def test_bad_app_names(tmp_path, app):
    with pytest.raises(InvalidName, match="begins with a letter or digit"):
        paths.app_dir(tmp_path, app)


def test_apps_are_those_with_a_store(tmp_path):
    home = tmp_path / ".nbflow"
    assert paths.apps(home) == []
    for app in ("b", "a"):
        SqliteWriter(home / app, "process").close()
    (home / "empty").mkdir()
    (home / "notes.txt").write_text("x")

    assert paths.apps(home) == ["a", "b"]
    assert paths.has_store(home / "a")
    assert not paths.has_store(home / "empty")


def test_a_home_that_may_not_be_read_is_not_taken_for_an_empty_one(tmp_path, shut):
    home = tmp_path / ".nbflow"
    SqliteWriter(home / "a", "process").close()
    shut(home)

    with pytest.raises(StoreError, match="may not be read by this user") as said:
        paths.apps(home)
    assert str(said.value).startswith(f"{home}: ")


def test_a_home_below_a_shut_folder_is_told_of(tmp_path, shut):
    (tmp_path / "theirs" / ".nbflow").mkdir(parents=True)
    shut(tmp_path / "theirs")

    with pytest.raises(StoreError, match="may not be read by this user"):
        paths.find_home(tmp_path / "theirs" / ".nbflow")


def test_an_app_that_may_not_be_looked_into_is_listed(tmp_path, shut):
    home = tmp_path / ".nbflow"
    for app in ("a", "b"):
        SqliteWriter(home / app, "process").close()
    home.chmod(0o755)
    shut(home / "b")

    assert "b" in paths.apps(home)
    with pytest.raises(StoreError, match="b.*: may not be read by this user"):
        SqliteReader(home / "b")


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/srv/x", "ext4"),
        ("/home/me/x", "nfs4"),
        ("/homes", "ext4"),
        ("/home/me/local/x", "xfs"),
        ("/mnt/with space/x", "fuse.sshfs"),
        ("/data/x", "9p"),
    ],
)
def test_the_file_system_is_that_of_the_innermost_mount(folder, kind):
    from pathlib import Path

    assert paths.file_system(Path(folder), MOUNTS) == kind
    if kind in ("ext4", "xfs"):
        paths.check_file_system(Path(folder), MOUNTS)
    else:
        with pytest.raises(UnsupportedFileSystem, match="set NBFLOW_HOME"):
            paths.check_file_system(Path(folder), MOUNTS)
