"""
The tables, and the only place that speaks SQL.

A batch is a row with its bytes; nobody decodes them.  Every change is one
transaction, durable when the call returns.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from streamline.errors import StorageFailed
from streamline.model import LogIdentity

Batch = tuple[int, int, int, bytes]
"""Base offset, offset after the last record, greatest timestamp, bytes."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS logs (
    id INTEGER PRIMARY KEY,
    topic TEXT NOT NULL, partition INTEGER NOT NULL, topic_id BLOB NOT NULL,
    start_offset INTEGER NOT NULL DEFAULT 0,
    end_offset INTEGER NOT NULL DEFAULT 0,
    high_watermark INTEGER NOT NULL DEFAULT 0,
    UNIQUE (topic, partition, topic_id)
);
CREATE TABLE IF NOT EXISTS batches (
    log INTEGER NOT NULL, next_offset INTEGER NOT NULL,
    base_offset INTEGER NOT NULL, max_timestamp INTEGER NOT NULL, size INTEGER NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY (log, next_offset)
);
CREATE TABLE IF NOT EXISTS blobs (
    log INTEGER NOT NULL, name TEXT NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY (log, name)
) WITHOUT ROWID;
"""


class Tables:
    """
    One SQLite file.

    Every method raises L{StorageFailed} where SQLite fails, after undoing what it had begun.
    """

    def __init__(self, path: str) -> None:
        try:
            self._connection = sqlite3.connect(path, isolation_level=None)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.executescript(SCHEMA)
        except sqlite3.Error as error:
            raise StorageFailed(str(error)) from error

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _change(self, *statements: tuple[str, Sequence[Any]], batches: Iterable[tuple[int, Batch]] = ()) -> None:
        """Do all of this or nothing."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                for statement, values in statements:
                    self._connection.execute(statement, values)
                self._connection.executemany(
                    "INSERT INTO batches (log, base_offset, next_offset, max_timestamp, size, data)"
                    " VALUES (?, ?, ?, ?, ?, ?)",
                    ((log, base, end, timestamp, len(data), data) for log, (base, end, timestamp, data) in batches),
                )
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise StorageFailed(str(error)) from error

    def _rows(self, statement: str, *values: Any) -> list[Any]:
        try:
            return self._connection.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise StorageFailed(str(error)) from error

    # Logs

    def identities(self) -> list[LogIdentity]:
        """Return all logs, sorted."""
        rows = self._rows("SELECT topic, partition, topic_id FROM logs ORDER BY 1, 2, 3")
        return [LogIdentity(*row) for row in rows]

    def log(self, identity: LogIdentity) -> tuple[int, int, int, int]:
        """Return (id, start offset, end offset, high watermark) of a log, making it if need be."""
        key = (identity.topic, identity.partition, identity.topic_id)
        self._change(("INSERT OR IGNORE INTO logs (topic, partition, topic_id) VALUES (?, ?, ?)", key))
        (row,) = self._rows(
            "SELECT id, start_offset, end_offset, high_watermark FROM logs"
            " WHERE topic = ? AND partition = ? AND topic_id = ?", *key,
        )  # fmt: skip
        found: tuple[int, int, int, int] = row
        return found

    def discard(self, identity: LogIdentity) -> None:
        """Delete a log."""
        key = (identity.topic, identity.partition, identity.topic_id)
        of_it = "(SELECT id FROM logs WHERE topic = ? AND partition = ? AND topic_id = ?)"
        self._change(
            (f"DELETE FROM batches WHERE log IN {of_it}", key),
            (f"DELETE FROM blobs WHERE log IN {of_it}", key),
            (f"DELETE FROM logs WHERE id IN {of_it}", key),
        )

    def note(self, log: int, start_offset: int, end_offset: int, high_watermark: int) -> None:
        """Write down a log's offsets."""
        self._change(_noting(log, start_offset, end_offset, high_watermark))

    # Batches

    def add(self, log: int, batches: Sequence[Batch]) -> None:
        """Add batches at the end of a log."""
        end = ("UPDATE logs SET end_offset = ? WHERE id = ?", (batches[-1][1], log))
        self._change(end, batches=((log, batch) for batch in batches))

    def cut(self, log: int, first: int, end: int, start_offset: int, end_offset: int, high_watermark: int) -> None:
        """Delete the batches that end after C{first} and not after C{end}, and write down the log's offsets."""
        self._change(
            ("DELETE FROM batches WHERE log = ? AND next_offset > ? AND next_offset <= ?", (log, first, end)),
            _noting(log, start_offset, end_offset, high_watermark),
        )

    def batches(self, log: int, offset: int) -> Iterator[Batch]:
        """Yield the batches from the one that holds an offset, read one at a time."""
        rows = "SELECT base_offset, next_offset, max_timestamp, data FROM batches WHERE log = ? AND next_offset > ?"
        while found := self._rows(f"{rows} ORDER BY next_offset LIMIT 1", log, offset):
            yield found[0]
            offset = found[0][1]

    def sizes(self, log: int) -> list[tuple[int, int, int]]:
        """Return (offset after it, greatest timestamp, size) of each batch."""
        rows = "SELECT next_offset, max_timestamp, size FROM batches WHERE log = ? ORDER BY next_offset"
        return self._rows(rows, log)

    def at_timestamp(self, log: int, timestamp_ms: int, offset: int) -> Batch | None:
        """Return the first batch that ends after an offset and has a timestamp of at least C{timestamp_ms}."""
        found = self._rows(
            "SELECT base_offset, next_offset, max_timestamp, data FROM batches"
            " WHERE log = ? AND next_offset > ? AND max_timestamp >= ? ORDER BY next_offset LIMIT 1",
            log, offset, timestamp_ms,
        )  # fmt: skip
        return found[0] if found else None

    def greatest_timestamp(self, log: int, offset: int) -> int | None:
        """Return the greatest timestamp of batches that end after an offset."""
        (row,) = self._rows("SELECT max(max_timestamp) FROM batches WHERE log = ? AND next_offset > ?", log, offset)
        greatest: int | None = row[0]
        return greatest

    # Blobs

    def put_blob(self, log: int, name: str, data: bytes) -> None:
        """Keep a blob."""
        self._change(("INSERT OR REPLACE INTO blobs (log, name, data) VALUES (?, ?, ?)", (log, name, data)))

    def get_blob(self, log: int, name: str) -> bytes | None:
        """Return a blob."""
        found = self._rows("SELECT data FROM blobs WHERE log = ? AND name = ?", log, name)
        return found[0][0] if found else None

    def blob_names(self, log: int) -> list[str]:
        """Return the names of blobs, sorted."""
        return [row[0] for row in self._rows("SELECT name FROM blobs WHERE log = ? ORDER BY name", log)]

    def drop_blob(self, log: int, name: str) -> None:
        """Forget a blob."""
        self._change(("DELETE FROM blobs WHERE log = ? AND name = ?", (log, name)))


def _noting(log: int, start_offset: int, end_offset: int, high_watermark: int) -> tuple[str, Sequence[Any]]:
    values = (start_offset, end_offset, high_watermark, log)
    return "UPDATE logs SET start_offset = ?, end_offset = ?, high_watermark = ? WHERE id = ?", values
