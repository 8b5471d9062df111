"""The work of an import: its folder, what it left off at, its end.

It lies in `.NAME.part`: the journal, shards that wait for their names, then the whole data set in
`set`, which is renamed to the target when all is in it.

N = images of the listing.
"""

import csv
import hashlib
import json
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainables.data.dataset import SPLITS, WHOLE, DataError, Dataset, Progress
from trainables.data.deep_pixels import bits_for
from trainables.data.describe import describe
from trainables.data.folder import open_dataset
from trainables.data.importing import splitting
from trainables.data.importing.chunks import Chunk, ChunkWriter, chunk_path, chunks, rows_per_chunk
from trainables.data.importing.journal import Journal
from trainables.data.importing.listing import Listing
from trainables.data.room import check_room
from trainables.errors import Exit

SHOWN = 20
SAMPLED = 16
ORIGIN = "import.json"
LEFT_OUT = "skipped.csv"

Note = Callable[[str], None]


class ImportRequestError(DataError):
    """What is asked for cannot be done, whatever the images are: a bad request."""

    exit = Exit.BAD_REQUEST


@dataclass(frozen=True)
class ImportJob:
    """A listing with a split (N,) for each image and, unless they stay as listed, an order (N,)."""

    listing: Listing
    target: Path
    splits: NDArray[np.int8]
    order: NDArray[np.uint64] | None
    origin: str

    @property
    def part(self) -> Path:
        return self.target.with_name(f".{self.target.name}.part")

    def run(self, skip_bad: bool, progress: Progress | None, note: Note) -> Dataset:
        key = self._key()
        if self.target.exists():
            dataset = self._imported_before(key)
            note(f"{self.target} was imported before, from the same; nothing is left to do")
        else:
            journal = self._journal(key, note)
            try:
                dataset = self._finished(journal, key, skip_bad, progress, note)
            finally:
                journal.close()
        shutil.rmtree(self.part, ignore_errors=True)
        self._problems_file.unlink(missing_ok=True)
        return dataset

    @property
    def _problems_file(self) -> Path:
        return self.target.with_name(f"{self.target.name}.problems.csv")

    def _key(self) -> str:
        """Names what was asked for: the listing, how it is split, what is said of it."""
        digest = hashlib.sha256()
        about = asdict(self.listing.about)
        if about["bits"] is None:  # keys of earlier versions knew nothing of it
            del about["bits"]
        said = [self.origin, self.listing.classes, self.listing.in_order, about]
        digest.update(json.dumps(said, default=list).encode())
        for identity in self.listing.ids:
            digest.update(identity.encode() + b"\0")
        for column in (self.listing.labels, self.splits, self.order):
            if column is not None:
                digest.update(np.ascontiguousarray(column).tobytes())
        for identity, reason in self.listing.problems:
            digest.update(f"{identity}\0{reason}\0".encode())
        return digest.hexdigest()

    def _journal(self, key: str, note: Note) -> Journal:
        """The journal of this import: the one to go on with, or a new one."""
        file = self.part / "journal.sqlite"
        if file.exists():
            if (journal := self._continued(file, key)) is not None:
                done = sum(journal.done().values())
                note(f"going on with an interrupted import: {done:,} images are done")
                return journal
            note(f"an unfinished import of something else as {self.target.name} is dropped")
        shutil.rmtree(self.part, ignore_errors=True)
        mean_bytes = self._mean_bytes()
        self.part.mkdir(parents=True)
        size, folder = int(mean_bytes * len(self.listing.ids)), self.target.parent
        check_room(folder, size, "the data set needs about", "choose another folder with --home")
        journal = Journal(file)
        journal.begin(key, rows_per_chunk(mean_bytes))
        return journal

    def _continued(self, file: Path, key: str) -> Journal | None:
        """The journal in `file` if it is of this import and whole."""
        try:
            journal = Journal(file)
            if journal.key == key:
                return journal
            journal.close()
        except sqlite3.DatabaseError:  # after a power failure, say: the work is done again
            pass
        return None

    def _mean_bytes(self) -> float:
        """Bytes of an image, over a few that can be read."""
        sizes = []
        for image in np.linspace(0, len(self.listing.ids) - 1, SAMPLED).astype(int).tolist():
            try:
                sizes.append(len(self.listing.read(image)))
            except OSError:  # named when its turn comes
                continue
        return float(np.mean(sizes)) if sizes else 0.0

    def _finished(
        self, journal: Journal, key: str, skip_bad: bool, progress: Progress | None, note: Note
    ) -> Dataset:
        complete = self.part / "set"
        if not complete.exists():  # else it was interrupted after all images were accepted
            self._write_chunks(journal, progress)
            self._accept(journal, skip_bad, note)
            complete.mkdir()
        self._name_shards(journal, complete)
        note("every image is looked at; statistics and hashes of the shards follow")
        dataset = describe(complete, self.listing.about, bits=self._bits(journal, note))
        bad = self._bad(journal)
        if bad:
            _write_bad(complete / LEFT_OUT, bad)
        made = {"key": key, "origin": self.origin, "left_out": len(bad)}
        (complete / ORIGIN).write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
        complete.rename(self.target)
        return replace(dataset, path=self.target)

    def _bits(self, journal: Journal, note: Note) -> int | None:
        """The bits that 16-bit images use, as asked or by their highest pixel; None if open."""
        peak, asked = journal.peak(), self.listing.about.bits
        if peak is None or peak < 0:
            return asked or (None if peak is None else WHOLE)
        bits = asked or bits_for(peak)
        if asked or bits < WHOLE:
            said = f"pixels of the 16-bit images are {peak:,} at most: read as {bits} bits"
            other = "as --bits says" if asked else "--bits 16 would take their whole range"
            note(f"{said}, {2**bits - 1:,} is white; {other}")
        return bits

    def _chunks(self, journal: Journal) -> list[Chunk]:
        return chunks(self.splits, self.order, journal.rows_per_chunk)

    def _write_chunks(self, journal: Journal, progress: Progress | None) -> None:
        with ChunkWriter(self.listing, self.splits, journal, self.part) as writer:
            writer.forget_changed()
            finished = journal.done()
            done, total = 0, len(self.splits)

            def advance(images: int = 1) -> None:
                nonlocal done
                done += images
                if progress:
                    progress(done, total)

            for chunk in self._chunks(journal):
                if chunk.number in finished:
                    advance(len(chunk.images))
                else:
                    writer.write(chunk, advance)

    def _bad(self, journal: Journal) -> list[tuple[str, str]]:
        """(id, reason) of everything that is left out."""
        written = [(self.listing.ids[bad.image], bad.reason) for bad in journal.left_out()]
        return [*self.listing.problems, *written]

    def _accept(self, journal: Journal, skip_bad: bool, note: Note) -> None:
        """See that the data set can do without its bad images; DataError says why it cannot."""
        bad = self._bad(journal)
        if bad and not skip_bad:
            _write_bad(self._problems_file, bad)
            shown = [f"{identity}: {reason}" for identity, reason in bad[:SHOWN]]
            if len(bad) > SHOWN:
                shown.append(f"and {len(bad) - SHOWN:,} more")
            raise DataError(
                [
                    *shown,
                    f"{len(bad):,} bad images, all named in {self._problems_file}; correct them "
                    "and give the same command again, or leave them out with --skip-bad",
                ]
            )
        left = np.ones(len(self.splits), bool)
        left[[out.image for out in journal.left_out()]] = False
        labels = self.listing.labels[left]
        mistakes = splitting.lacking_classes(self.splits[left], labels, self.listing.classes)
        if mistakes:
            raise DataError(
                [
                    *mistakes,
                    f"this is so without the {len(bad):,} bad images: take them out of the source",
                ]
            )
        if bad:
            note(f"{len(bad):,} bad images are left out; {LEFT_OUT} names them")

    def _name_shards(self, journal: Journal, complete: Path) -> None:
        """Moves the shards to `complete` under their names; chunks without an image have none."""
        rows = journal.done()
        for split, name in enumerate(SPLITS):
            filled = [c for c in self._chunks(journal) if c.split == split and rows[c.number]]
            for index, chunk in enumerate(filled):
                waiting = chunk_path(self.part, chunk.number)
                if waiting.exists():
                    shard = f"{name}-{index:05d}-of-{len(filled):05d}.parquet"
                    waiting.rename(complete / shard)

    def _imported_before(self, key: str) -> Dataset:
        """The data set at the target; ImportRequestError if it is not of the same import."""
        try:
            same = json.loads((self.target / ORIGIN).read_bytes())["key"] == key
        except (OSError, ValueError, KeyError, TypeError):
            same = False
        if same:
            return open_dataset(self.target)
        said = f"{self.target} exists and is of something else"
        raise ImportRequestError([f"{said}; choose another name with --to, or remove that folder"])


def _write_bad(path: Path, bad: Sequence[tuple[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as handle:
        rows = csv.writer(handle)
        rows.writerow(("id", "reason"))
        rows.writerows(bad)
