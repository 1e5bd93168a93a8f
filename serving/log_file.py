"""The SQLite file of a prediction log: its schema, how it is opened, and its errors."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, Union

from serving.errors import LogError

# "FieL" marks our files: https://www.sqlite.org/pragma.html#pragma_application_id
APPLICATION_ID = 0x4669654C
# Older packages read only the first, so a log is of the second from the first model that gives
# labels or a number.
OF_CLASSES, OF_ANY_TARGET = VERSIONS = 1, 2
BUSY_SECONDS = 5.0  # how long to wait for another process that writes
JOURNAL_BYTES = 4 << 20  # to which the write-ahead log is truncated

SCHEMA = """
CREATE TABLE models (
    number INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    format TEXT NOT NULL,
    runtime TEXT NOT NULL,
    file_sha256 TEXT NOT NULL,
    card TEXT NOT NULL,            -- model_card.json, so that the log explains itself
    UNIQUE (name, version, file_sha256, runtime)
);
CREATE TABLE predictions (
    number INTEGER PRIMARY KEY,    -- in the order they came
    id TEXT NOT NULL UNIQUE,
    time REAL NOT NULL,            -- seconds since 1970, UTC
    model INTEGER NOT NULL REFERENCES models (number),
    source TEXT,                   -- the picture's file, where it came from one
    predicted NOT NULL,            -- the answer, as serving.logged_answers writes it
    confidence REAL NOT NULL,      -- its probability, of a number half its interval
    statistics BLOB NOT NULL,      -- float32, little-endian, ordered as inputs.statistic_names
    image BLOB,                    -- the raw input, deflated, if requested
    label                          -- the true answer, written alike, once it is known
);
"""


class LogFile:
    """One file, for one thread at a time. A failure raises LogError and changes nothing."""

    def __init__(self, path: Union[str, Path]) -> None:
        self.path = Path(path)
        self._open()

    def _open(self) -> None:
        with self.errors("opened"):
            self.connection = sqlite3.connect(
                self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            try:
                self._prepare()
            except BaseException:
                self.connection.close()
                raise
            self._inode = self.path.stat().st_ino

    def _prepare(self) -> None:
        execute = self.connection.execute
        application = execute("PRAGMA application_id").fetchone()[0]
        version = execute("PRAGMA user_version").fetchone()[0]
        any_table = "SELECT name FROM sqlite_master LIMIT 1"
        if application == 0 and not execute(any_table).fetchone():
            execute("PRAGMA journal_mode = WAL")
            with self.transaction():
                if not execute(any_table).fetchone():  # unless another process was faster
                    for statement in SCHEMA.split(";")[:-1]:
                        execute(statement)
                    execute(f"PRAGMA application_id = {APPLICATION_ID}")
                    execute(f"PRAGMA user_version = {OF_CLASSES}")
        elif application != APPLICATION_ID or version not in VERSIONS:
            raise LogError(
                f"{self.path} is a SQLite file of something else or of another version; "
                "name a new file for the log"
            )
        if execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise sqlite3.DatabaseError("it is damaged")
        # With a write-ahead log a power cut may lose the last rows, but never the file.
        execute("PRAGMA synchronous = NORMAL")
        execute(f"PRAGMA journal_size_limit = {JOURNAL_BYTES}")

    def close(self) -> None:
        """Brings everything into the one file."""
        with self.errors("closed"):
            self.connection.close()

    def checkpoint(self) -> None:
        """Brings everything into the one file, so that a copy of it is complete."""
        with self.errors("written"):
            self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def reopen_if_gone(self) -> bool:
        """Whether it is now a new file: rows written to a moved or deleted one would be lost."""
        try:
            same = self.path.stat().st_ino == self._inode
        except FileNotFoundError:
            same = False
        if not same:
            self.connection.close()
            self._open()
        return not same

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.connection.execute("COMMIT")
        except BaseException:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            raise

    @contextmanager
    def errors(self, done: str) -> Iterator[None]:
        """Turns the errors of SQLite and the system into LogError."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            reason = " ".join(str(error).split())
            raise LogError(
                f"the log {self.path} cannot be {done} ({reason}); expected a new file or an "
                "earlier log, in a place where this user may write and the disk has room"
            ) from None
