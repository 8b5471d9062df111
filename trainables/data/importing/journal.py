"""What an import has done so far, in an SQLite file: one that is interrupted goes on from there.

A chunk is some images of one split that become one shard. What belongs to a chunk is committed
together, after its shard is on the disk.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

# `plan` holds the key and the size of chunks; interrupted imports of earlier versions have it
_TABLES = """
BEGIN;
CREATE TABLE IF NOT EXISTS plan (key TEXT NOT NULL, rows_per_chunk INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS done (chunk INTEGER PRIMARY KEY, rows INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS seen
  (digest BLOB PRIMARY KEY, image INTEGER NOT NULL, chunk INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS bad
  (image INTEGER PRIMARY KEY, chunk INTEGER NOT NULL, digest BLOB, reason TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS peaks (chunk INTEGER PRIMARY KEY, peak INTEGER NOT NULL);
COMMIT;
"""


@dataclass(frozen=True, slots=True)
class Bad:
    """An image that is left out: its number in the listing, the hash of its bytes, and why."""

    image: int
    chunk: int
    digest: bytes | None
    reason: str


class Journal:
    """What one import has done; `key` names what was asked for."""

    def __init__(self, path: Path):
        self._connection = sqlite3.connect(path)
        self._connection.executescript(_TABLES)

    def close(self) -> None:
        self._connection.close()

    @property
    def key(self) -> str | None:
        """The key of the import; None in a new journal."""
        found = self._connection.execute("SELECT key FROM plan").fetchone()
        return found[0] if found else None

    @property
    def rows_per_chunk(self) -> int:
        return self._connection.execute("SELECT rows_per_chunk FROM plan").fetchone()[0]

    def begin(self, key: str, rows_per_chunk: int) -> None:
        with self._connection:
            self._connection.execute("INSERT INTO plan VALUES (?, ?)", (key, rows_per_chunk))

    @contextmanager
    def chunk(self) -> Iterator[None]:
        """What is recorded inside the block is committed as a whole at its end, or not at all."""
        with self._connection:
            yield

    def first(self, digest: bytes, image: int, chunk: int) -> int:
        """The image that had these bytes first: `image` itself unless they are known."""
        row = (digest, image, chunk)
        if self._connection.execute("INSERT OR IGNORE INTO seen VALUES (?, ?, ?)", row).rowcount:
            return image
        found = self._connection.execute("SELECT image FROM seen WHERE digest = ?", (digest,))
        return found.fetchone()[0]

    def leave_out(self, bad: Bad) -> None:
        row = (bad.image, bad.chunk, bad.digest, bad.reason)
        self._connection.execute("INSERT INTO bad VALUES (?, ?, ?, ?)", row)

    def saw(self, chunk: int, peak: int) -> None:
        """`peak` is the highest pixel of a chunk's 16-bit images, -1 if it has none."""
        self._connection.execute("INSERT INTO peaks VALUES (?, ?)", (chunk, peak))

    def finish(self, chunk: int, rows: int) -> None:
        self._connection.execute("INSERT INTO done VALUES (?, ?)", (chunk, rows))

    def peak(self) -> int | None:
        """The highest pixel of all 16-bit images, -1 if there are none.

        None if some chunk was written by an earlier version, which did not look.
        """
        query = "SELECT (SELECT count(*) FROM done) = count(*), max(peak) FROM peaks"
        known, highest = self._connection.execute(query).fetchone()
        return highest if known else None

    def done(self) -> dict[int, int]:
        """Images written for each finished chunk."""
        return dict(self._connection.execute("SELECT chunk, rows FROM done ORDER BY chunk"))

    def left_out(self) -> list[Bad]:
        found = self._connection.execute("SELECT image, chunk, digest, reason FROM bad")
        return [Bad(*row) for row in found]

    def left_out_of(self, chunk: int) -> int:
        """How many images of a chunk are left out."""
        query = "SELECT count(*) FROM bad WHERE chunk = ?"
        return self._connection.execute(query, (chunk,)).fetchone()[0]

    def forget_from(self, chunk: int) -> None:
        """Forgets this chunk and all later ones."""
        with self._connection:
            for table in ("done", "seen", "bad", "peaks"):
                self._connection.execute(f"DELETE FROM {table} WHERE chunk >= ?", (chunk,))
