"""The raw limit: what stdlib sqlite3 does by itself, with the store's own pragmas.

One memo row and one commit a step; nothing else is promised, checked or recorded.
SQLite's own checkpoint, each 1,000 pages, stands for the store's, each 4 MiB.
"""

import sqlite3
import time
from pathlib import Path

SYNCHRONOUS = {"power": "full", "process": "normal"}

_PRAGMAS = (
    "journal_mode = wal",
    "trusted_schema = off",
    "foreign_keys = on",
    "cell_size_check = on",
    "mmap_size = 0",
    "temp_store = memory",
    "wal_autocheckpoint = 1000",
    "journal_size_limit = 4194304",
    "fullfsync = on",
    "checkpoint_fullfsync = on",
)
_TABLE = "CREATE TABLE IF NOT EXISTS memo (run INTEGER, step TEXT, value BLOB)"
_INSERT = "INSERT INTO memo VALUES (?, ?, ?)"


def connect(path: Path, durability: str) -> sqlite3.Connection:
    """A database with the memo table, made if it is missing."""
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in (*_PRAGMAS, f"synchronous = {SYNCHRONOUS[durability]}"):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    connection.execute(_TABLE)
    return connection


def steps(connection: sqlite3.Connection, count: int) -> float:
    """Write so many steps, each in a commit of its own; seconds it took."""
    execute = connection.cursor().execute
    began = time.perf_counter()
    for number in range(count):
        execute("BEGIN IMMEDIATE")
        execute(_INSERT, (1, f"add:{number}", b"%d" % number))
        execute("COMMIT")
    return time.perf_counter() - began


def rate(path: Path, durability: str, count: int) -> float:
    """Steps a second in a new database."""
    connection = connect(path, durability)
    try:
        return count / steps(connection, count)
    finally:
        connection.close()
