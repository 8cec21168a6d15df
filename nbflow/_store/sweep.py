"""Removes out-of-line values that nothing names any more: those of deleted runs.

A delete leaves a mark beside the blobs; whoever sweeps looks for every digest that the
store and the inbox name, and removes what is neither named nor new. It reads pages
through a connection of its own, so any thread may do it while the engine works.
"""

import os
import re
from contextlib import closing
from pathlib import Path

from nbflow._store.blobs import FRESH, Blobs
from nbflow._store.paths import BLOBS, INBOX
from nbflow._store.reader import SqliteReader

_MARK = ".deleted"
_NEW = 2 * FRESH
"""Seconds for which a blob stays that no commit and no command names yet."""
_DIGEST = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_TEXT = re.compile(rb'"_(?:args_)?blob":\s*"([0-9a-f]{64})"')


def note_deleted(app_dir: Path) -> None:
    """Leave the mark: what is about to be deleted may leave blobs behind."""
    if (app_dir / BLOBS).is_dir():
        (app_dir / BLOBS / _MARK).touch(0o600)


def sweep(app_dir: Path, blobs: Blobs) -> int:
    """Remove what nothing names, if there were deletes since the last sweep.

    Returns:
        How many blobs were removed.

    Raises:
        StoreError, OSError: something could not be read; the mark stays.
    """
    mark = app_dir / BLOBS / _MARK
    if not mark.exists():
        return 0
    mark.touch(0o600)
    began = mark.stat().st_mtime
    named = _named(app_dir, blobs)
    removed, is_new = 0, False
    for digest in blobs.all():
        if digest not in named:
            if blobs.remove(digest, began - _NEW):
                removed += 1
            else:
                is_new = True
    # Those that are new are looked at again, and so is what was deleted meanwhile.
    if not is_new and mark.stat().st_mtime == began:
        mark.unlink()
    return removed


def _named(app_dir: Path, blobs: Blobs) -> set[str]:
    """Every digest in the store, in large values themselves, and in the inbox."""
    named: set[str] = set()
    texts: set[str] = set()  # large values, whose text may name others
    with closing(SqliteReader(app_dir)) as reader:
        for data in reader.payloads():
            _note(data, named)
            texts.update(digest.decode() for digest in _TEXT.findall(data))
    there = set(blobs.all())
    for digest in texts & there:
        _note(blobs.get(digest), named)
    for folder, _, files in os.walk(app_dir / INBOX):
        for name in files:
            try:
                _note(Path(folder, name).read_bytes(), named)
            except FileNotFoundError:
                continue  # applied: what it names was put a moment ago
    return named


def _note(data: bytes, named: set[str]) -> None:
    named.update(digest.decode() for digest in _DIGEST.findall(data))
