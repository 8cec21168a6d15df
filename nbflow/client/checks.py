"""Is everything in order with the stores of a home?

Looks at files that no client can open. Neighbours: the front ends' `doctor`.
"""

import os
import platform
import shutil
import sqlite3
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from nbflow._store import lock, opening, paths
from nbflow._store.reader import SqliteReader
from nbflow.client.records import verify_run
from nbflow.errors import NbflowError
from nbflow.model import UNFINISHED_RUN

RECENT = 100
"""Runs of each app whose chain of digests is checked."""
_LITTLE = 256 * 1024 * 1024


class Finding(NamedTuple):
    """What was looked at, and whether it is in order: "ok", "note" or "wrong"."""

    state: str
    what: str
    text: str


def check_home(
    home: Path, apps: Sequence[str] | None = None, *, version: str
) -> Iterator[Finding]:
    """Look at a home and its stores; nothing is changed.

    Args:
        home: the `.nbflow` folder; it need not exist.
        apps: only these; all that the home has if None.
        version: that of nbflow, to be shown.
    """
    yield Finding(
        "ok",
        "versions",
        f"nbflow {version}, Python {platform.python_version()}, SQLite "
        f"{sqlite3.sqlite_version}, {platform.system()} {platform.release()}",
    )
    yield from _home(home)
    try:
        if not home.is_dir():
            return
        apps = paths.apps(home) if apps is None else list(apps)
    except PermissionError:  # which has been told of
        return
    except NbflowError as error:
        yield Finding("wrong", "apps", str(error))
        return
    if not apps:
        yield Finding("note", "apps", "no app has a store here yet")
    for app in apps:
        yield from _app(home, app)


def _home(home: Path) -> Iterator[Finding]:
    try:
        home.lstat()
    except (FileNotFoundError, NotADirectoryError):
        yield Finding("note", "home", f"{home} does not exist yet; a run makes it")
        return
    except OSError:  # `check_folder` says why
        pass
    try:
        paths.check_folder(home)
        paths.check_file_system(home)
    except NbflowError as error:
        yield Finding("wrong", "home", str(error))
        return
    kind = paths.file_system(home)
    named = f", file system {kind}" if kind else ""
    yield Finding("ok", "home", f"{home}{named}")
    if not os.access(home, os.W_OK | os.X_OK):
        told = "may not be written: runs can be looked at, but none can be started here"
        yield Finding("note", "home", f"{home} {told}")
    free = shutil.disk_usage(home).free
    state = "ok" if free > _LITTLE else "wrong"
    yield Finding(state, "space", f"{_size(free)} free on its disk")


def _app(home: Path, app: str) -> Iterator[Finding]:
    folder = paths.app_dir(home, app)
    yield from _permissions(folder, app)
    try:
        reader = SqliteReader(folder)
    except NbflowError as error:
        yield Finding("wrong", app, str(error))
        return
    try:
        yield from _structure(folder, app)
        yield from _content(reader, folder, app)
    except NbflowError as error:
        yield Finding("wrong", app, str(error))
    finally:
        reader.close()


def _structure(folder: Path, app: str) -> Iterator[Finding]:
    path = folder / paths.STORE
    connection = opening.connect(path, "ro")
    try:
        opening.verify(connection, path, whole=False)
        answers = [row[0] for row in connection.execute("PRAGMA integrity_check(5)")]
    except sqlite3.Error as error:
        answers = [str(error)]
    finally:
        connection.close()
    if answers == ["ok"]:
        yield Finding("ok", app, "the database is sound")
    else:
        text = "; ".join(answers)
        yield Finding(
            "wrong", app, f"the database is damaged: {text}. Restore a backup of {path}"
        )


def _content(reader: SqliteReader, folder: Path, app: str) -> Iterator[Finding]:
    counts = reader.counts()
    total = _plural(sum(counts.values()), "run")
    told = ", ".join(f"{count:,} {status}" for status, count in counts.items())
    blobs = _folder_size(folder / paths.BLOBS)
    database = sum(
        (folder / f"{paths.STORE}{end}").stat().st_size
        for end in ("", "-wal")
        if (folder / f"{paths.STORE}{end}").exists()
    )
    sizes = f"{_size(database)} database, {_size(blobs)} in files"
    yield Finding("ok", app, f"{total}{f' ({told})' if told else ''}, {sizes}")
    yield from _chains(reader, app)
    holder = lock.holder(folder)
    open_runs = sum(counts.get(str(s), 0) for s in UNFINISHED_RUN)
    if holder is not None:
        where = f" ({holder.notebook})" if holder.notebook else ""
        text = f"its engine is process {holder.pid} on {holder.host}{where}"
        state = "wrong" if holder.is_gone else "ok"
        gone = (
            ", which has ended: a child of it holds the lock" if state != "ok" else ""
        )
        yield Finding(state, app, text + gone)
    elif open_runs:
        yield Finding(
            "note",
            app,
            f"{_plural(open_runs, 'unfinished run')}, and no engine is alive: `nbflow "
            f"runs --app {app}` lists them, `nbflow resume RUN TARGET` goes on",
        )
    waiting = _commands(folder)
    if waiting and holder is None:
        yield Finding(
            "note", app, f"{_plural(waiting, 'command')} wait for an engine to start"
        )
    rejected = folder / paths.INBOX / "rejected"
    if rejected.is_dir() and any(rejected.iterdir()):
        yield Finding("note", app, f"{rejected} holds files that were no commands")


def _chains(reader: SqliteReader, app: str) -> Iterator[Finding]:
    rows = reader.runs(limit=RECENT).rows
    checked = 0
    for row in rows:
        try:
            fresh = reader.run(row.id)
            events = reader.events(row.n)
            # A live run may have grown between the two reads.
            if fresh is not None and fresh.last is None:
                fresh = fresh._replace(tail=None)
            verify_run(fresh or row, events)
        except NbflowError as error:
            yield Finding("wrong", app, str(error))
            continue
        checked += 1
    if checked:
        yield Finding(
            "ok", app, f"the events of {_plural(checked, 'run')} are unchanged"
        )


def _permissions(folder: Path, app: str) -> Iterator[Finding]:
    try:
        paths.check_folder(folder)
        for name in (paths.STORE, paths.LOCK):
            paths.check_file(folder / name)
    except NbflowError as error:
        yield Finding("wrong", app, str(error))
        return
    for path in (folder, folder / paths.STORE):
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            wanted = "700" if path.is_dir() else "600"
            yield Finding(
                "wrong",
                app,
                f"{path} has mode {mode:o}, so others can read what runs hold: "
                f"chmod {wanted} {path}",
            )


def _commands(folder: Path) -> int:
    try:
        names = os.listdir(folder / paths.INBOX)
    except OSError:
        return 0
    return sum(name.endswith(".json") and not name.startswith(".") for name in names)


def _folder_size(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_size
            except OSError:  # removed meanwhile
                continue
    return total


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _size(count: int) -> str:
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
