"""Importing a listing: splits, bad images, repeats, interruptions, and what is left at the end."""

import csv
import io
import itertools
import json
import multiprocessing
import os
import shutil
import signal
import sqlite3
import threading
from collections import Counter, namedtuple
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from trainables.data import DataError, Symmetries, open_dataset, verify
from trainables.data.describe import About
from trainables.data.importing import chunks, splitting
from trainables.data.importing.importer import import_
from trainables.data.importing.job import ImportRequestError
from trainables.data.importing.listing import Listing
from trainables.data.importing.splitting import TEST, TRAIN, VALID
from trainables.data.parquet import batches

CLASSES = ("ant", "bee", "cat")


def png(seed: int, size: int = 6) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def bomb() -> bytes:
    """The PNG of 81 million pixels in a few kilobytes."""
    buffer = io.BytesIO()
    Image.new("1", (9000, 9000)).save(buffer, "PNG")
    return buffer.getvalue()


class Memory:
    """Reads from memory, or raises; counts how often each image is read."""

    def __init__(self, images: list[bytes | Exception]):
        self.images, self.reads, self.lock = images, Counter(), threading.Lock()

    def __call__(self, index: int) -> bytes:
        with self.lock:
            self.reads[index] += 1
        if isinstance(found := self.images[index], Exception):
            raise found
        return found


def listed(count: int = 60, splits: list[int] | None = None, **changes) -> Listing:
    """`count` images of three classes in turn; no two are alike."""
    listing = Listing(
        classes=CLASSES,
        ids=[f"{index:018d}" for index in range(count)],
        labels=np.arange(count) % 3,
        splits=np.array(splits if splits is not None else [-1] * count, np.int8),
        read=Memory([png(index) for index in range(count)]),
    )
    return replace(listing, **changes)


def contents(dataset) -> dict[str, list[tuple[str, bytes, int]]]:
    """(id, bytes, label) of every row of each split."""
    import pyarrow.parquet as pq

    found = {}
    for split in splitting.SPLITS:
        tables = [pq.read_table(path).to_pylist() for path in dataset.shards_of(split)]
        rows = itertools.chain.from_iterable(tables)
        found[split] = [(r["image"]["path"], r["image"]["bytes"], r["label"]) for r in rows]
    return found


@pytest.fixture
def target(tmp_path):
    return tmp_path / "data" / "zoo"


@pytest.fixture(autouse=True)
def _not_waiting_for_the_disk(monkeypatch):
    monkeypatch.setattr(chunks, "sync", lambda _: None)


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr("trainables.data.importing.job.rows_per_chunk", lambda _: 8)


@pytest.fixture
def five_chunks(monkeypatch):
    monkeypatch.setattr("trainables.data.importing.job.rows_per_chunk", lambda _: 20)


def problems(*arguments, **options) -> str:
    with pytest.raises(DataError) as caught:
        import_(*arguments, **options)
    return str(caught.value)


def test_everything_arrives_as_it_was(target):
    listing = listed(about=About(symmetries=Symmetries(90, True), source="here", licence="MIT"))
    said: list[str] = []
    complete = target.parent / ".zoo.part" / "set"
    folders: list[int] = []

    def note(text: str) -> None:
        said.append(text)
        folders.extend([complete.stat().st_ino] if complete.exists() else [])
        assert not target.exists()

    dataset = import_(listing, target, note=note)
    assert folders == [target.stat().st_ino], "the folder is renamed, never filled in place"
    assert dataset == open_dataset(target)
    verify(dataset)
    assert (dataset.name, dataset.classes, dataset.source) == ("zoo", CLASSES, "here")
    assert dataset.symmetries == Symmetries(90, True)
    rows = contents(dataset)
    assert [len(rows[split]) for split in splitting.SPLITS] == [48, 6, 6]
    for identity, encoded, label in itertools.chain(*rows.values()):
        assert encoded == png(int(identity))
        assert label == int(identity) % 3
    assert said == [
        "60 images without a split: cut within each class into train 0.8, valid 0.1, test 0.1",
        "every image is looked at; statistics and hashes of the shards follow",
    ]
    assert sorted(p.name for p in target.parent.iterdir()) == [".zoo.lock", "zoo"]


def test_rows_are_mixed_unless_only_neighbours_are_quick(target, tmp_path):
    listing = listed(splits=[TRAIN] * 50 + [VALID] * 5 + [TEST] * 5)
    mixed = contents(import_(listing, target))["train"]
    assert [row[0] for row in mixed] != sorted(row[0] for row in mixed)
    kept = contents(import_(replace(listing, in_order=True), tmp_path / "kept"))["train"]
    assert [row[0] for row in kept] == listing.ids[:50]


@given(
    sizes=st.lists(st.integers(3, 60), min_size=2, max_size=5),
    shares=st.tuples(*[st.floats(0.05, 1)] * 3),
    seed=st.integers(0, 5),
)
@settings(max_examples=60, deadline=None)
def test_splits_are_stratified_and_follow_from_the_ids(sizes, shares, seed):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    ids = [f"image {index}" for index in range(len(labels))]
    order = splitting.hashes(ids, seed)
    splits, _ = splitting.completed(np.full(len(ids), -1, np.int8), labels, order, shares)
    for label, size in enumerate(sizes):
        counts = np.bincount(splits[labels == label], minlength=3)
        exact = np.array(shares) / sum(shares) * size
        assert counts.min() >= 1
        assert (np.abs(counts[1:] - exact[1:]) <= 1).all() or counts[0] == 1
    turned = np.random.default_rng(seed).permutation(len(ids))
    again = splitting.hashes([ids[index] for index in turned], seed)
    other, _ = splitting.completed(np.full(len(ids), -1, np.int8), labels[turned], again, shares)
    assert (other == splits[turned]).all()


def test_new_images_move_few_others():
    def cut(count: int):
        order = splitting.hashes([f"{index}.jpg" for index in range(count)], 0)
        return splitting.completed(
            np.full(count, -1, np.int8), np.arange(count) % 4, order, (0.8, 0.1, 0.1)
        )[0]

    before, after = cut(2000), cut(2200)
    assert (before != after[:2000]).mean() < 0.02
    assert (before != splitting.completed(
        np.full(2000, -1, np.int8),
        np.arange(2000) % 4,
        splitting.hashes([f"{index}.jpg" for index in range(2000)], 1),
        (0.8, 0.1, 0.1),
    )[0]).mean() > 0.2  # fmt: skip


@pytest.mark.parametrize(
    ("given_splits", "left", "said"),
    [
        ([TRAIN] * 40 + [TEST] * 20, {TEST: 20, VALID: 4}, "the source has no valid; its train"),
        ([-1] * 40 + [TEST] * 20, {TEST: 20, VALID: 4}, "40 images without a split"),
        ([TRAIN] * 60, {TEST: 6, VALID: 6}, "the source has no valid and no test; its train"),
        ([TRAIN] * 40 + [VALID] * 20, {VALID: 20, TEST: 4}, "the source has no test"),
        ([-1] * 20 + [VALID] * 20 + [TEST] * 20, {VALID: 20, TEST: 20}, "into train 1"),
        ([TRAIN] * 20 + [VALID] * 20 + [TEST] * 20, {VALID: 20, TEST: 20}, "those of the source"),
    ],
)
def test_given_splits_are_kept(given_splits, left, said):
    splits = np.array(given_splits, np.int8)
    order = splitting.hashes([str(index) for index in range(60)], 0)
    result, why = splitting.completed(splits, np.zeros(60, np.int64), order, (0.8, 0.1, 0.1))
    assert said in why
    for split in left:
        if (splits == split).any():
            assert ((result == split) == (splits == split)).all()
        assert (result == split).sum() == left[split]


def test_a_source_without_training_images(target):
    assert "no images for training" in problems(listed(splits=[TEST] * 60), target)


def test_a_class_too_small_for_every_split(target):
    listing = listed(8)
    assert "no image of class 'cat', which has 2 in all" in problems(listing, target)
    assert not target.parent.exists()


def test_mistakes_of_a_listing(target):
    labels = np.arange(60) % 3
    assert "classes have this name" in problems(listed(classes=("a", "a", "b")), target)
    assert "not a printable name" in problems(listed(classes=("a", "\x1b[2J", "b")), target)
    assert "label 3 is outside 0..2" in problems(listed(labels=labels + 1), target)
    assert "is given to 60 images" in problems(listed(ids=["x"] * 60), target)
    assert "of one class" in problems(listed(labels=labels * 0), target)
    assert "no image with a label was found" in problems(listed(0), target)


def test_classes_without_an_image_are_left_out(target):
    said: list[str] = []
    listing = listed(classes=("ant", "none", "cat"), labels=np.arange(60) % 2 * 2)
    dataset = import_(listing, target, note=said.append)
    assert dataset.classes == ("ant", "cat")
    assert set(dataset.class_counts("train")) == {24}
    assert "1 classes have no image and are left out: none" in said


def spoilt() -> Listing:
    """90 images, of which four are bad and four repeat others, and one that could not be listed."""
    splits = [TRAIN] * 60 + [VALID] * 15 + [TEST] * 15
    images: list[bytes | Exception] = [png(index) for index in range(90)]
    images[0] = FileNotFoundError(2, "No such file or directory")
    images[1] = b"no image"
    images[2] = png(2)[:-30]
    images[3] = bomb()
    images[6] = images[9]  # the same class, the same split
    images[12] = images[16]  # another class
    images[63] = images[18]  # train and valid
    images[78] = images[66]  # valid and test
    return listed(
        90, splits=splits, read=Memory(images), problems=[("../x.jpg", "leaves the folder")]
    )


def test_bad_images_are_named_all_at_once(target):
    said = problems(spoilt(), target)
    one, two = sorted(["000000000000000006", "000000000000000009"])
    assert "000000000000000000: cannot be read: No such file or directory" in said
    assert "000000000000000001: cannot be decoded: not an image of the formats" in said
    assert "000000000000000002: cannot be decoded: " in said
    assert "000000000000000003: cannot be decoded: 9000 x 9000 pixels, more than 64 mill" in said
    assert f"{one}: same bytes as {two}" in said or f"{two}: same bytes as {one}" in said
    assert "of class 'ant' instead of 'bee'" in said or "of class 'bee' instead of 'ant'" in said
    assert "000000000000000018: same bytes as 000000000000000063, which would leak from" in said
    assert "000000000000000066: same bytes as 000000000000000078, which would leak from" in said
    assert "leak from test into valid" in said
    assert "../x.jpg: leaves the folder" in said
    assert "9 bad images, all named in " in said
    assert "--skip-bad" in said
    assert not target.exists()
    with (target.parent / "zoo.problems.csv").open() as handle:
        assert len(list(csv.DictReader(handle))) == 9


def test_bad_images_are_left_out_when_asked(target):
    said: list[str] = []
    listing = spoilt()
    problems(listing, target)
    first = Counter(listing.read.reads)
    dataset = import_(listing, target, skip_bad=True, note=said.append)
    assert [dataset.rows(split) for split in splitting.SPLITS] == [53, 14, 15]
    assert "9 bad images are left out; skipped.csv names them" in said
    with (target / "skipped.csv").open() as handle:
        assert {row["id"][-2:] for row in csv.DictReader(handle)} >= {"00", "01", "02", "03"}
    assert not (target.parent / "zoo.problems.csv").exists()
    again = listing.read.reads - first
    assert sum(again.values()) == 8, "only what was bad is looked at again"
    everything = contents(dataset)
    hashes = [encoded for rows in everything.values() for _, encoded, _ in rows]
    assert len(set(hashes)) == len(hashes)


@pytest.mark.usefixtures("five_chunks")
@pytest.mark.parametrize("skip_bad", [False, True])
def test_images_that_were_mended_are_taken(target, skip_bad):
    listing = spoilt()
    problems(listing, target)
    mended = [0, 1, 2, 3, 6, 12, 63, 78]
    for index in mended:
        listing.read.images[index] = png(1000 + index)
    listing = replace(listing, problems=())
    dataset = import_(listing, target, skip_bad=skip_bad)
    assert sum(dataset.rows(split) for split in splitting.SPLITS) == 90
    assert not (target / "skipped.csv").exists()


@pytest.mark.usefixtures("five_chunks")
def test_some_mended_and_the_rest_left_out_with_the_plan_kept(target):
    listing = spoilt()
    problems(listing, target)
    listing.read.images[1] = png(1001)
    dataset = import_(listing, target, skip_bad=True)
    assert "000000000000000001" in {row[0] for row in contents(dataset)["train"]}
    assert dataset.rows("train") == 54


@pytest.mark.usefixtures("five_chunks")
def test_bytes_that_moved_to_another_image_are_no_repeat(target):
    listing = replace(spoilt(), in_order=True, problems=())
    problems(listing, target)
    listing.read.images[1], listing.read.images[5] = png(5), png(1005)
    found = {row[0]: row[1] for row in contents(import_(listing, target, skip_bad=True))["train"]}
    assert found["000000000000000001"] == png(5)
    assert found["000000000000000005"] == png(1005)


def test_long_lists_are_cut_short(target):
    listing = listed()
    listing.read.images[:] = [b"x"] * 60
    said = problems(listing, target).splitlines()
    assert len(said) == 22
    assert said[20] == "and 40 more"
    assert "no image of class 'ant'" in problems(listing, target, skip_bad=True)


@pytest.mark.usefixtures("small_chunks")
def test_a_chunk_of_bad_images_only(target):
    listing = listed(in_order=True, splits=[TRAIN] * 40 + [VALID] * 10 + [TEST] * 10)
    listing.read.images[8:16] = [b"x"] * 8
    dataset = import_(listing, target, skip_bad=True)
    assert [shard.file for shard in dataset.shards if shard.split == "train"] == [
        f"train-{index:05d}-of-00004.parquet" for index in range(4)
    ]
    assert [row[0] for row in contents(dataset)["train"]] == listing.ids[:8] + listing.ids[16:40]
    assert open_dataset(target) == dataset


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("reads_before", [20, 55])
def test_interrupted_goes_on_where_it_was(target, tmp_path, reads_before):
    def interrupted(index: int) -> bytes:
        if len(memory.reads) >= reads_before:
            raise KeyboardInterrupt
        return memory(index)

    memory = listed().read
    with pytest.raises(KeyboardInterrupt):
        import_(listed(read=interrupted), target)
    assert not target.exists()
    said: list[str] = []
    memory.reads.clear()
    dataset = import_(listed(read=memory), target, note=said.append)
    assert said[1].startswith("going on with an interrupted import: ")
    assert len(memory.reads) <= 60 - max(reads_before - 16 - chunks.AHEAD, 0)
    assert dataset.fingerprint == import_(listed(), tmp_path / "whole").fingerprint


def _killed_after(target: Path, finished: int) -> None:
    """Imports, and kills its own process as the shard after so many is to be recorded."""
    finish, done = chunks.Journal.finish, itertools.count()

    def kill(self, chunk, rows):
        if next(done) == finished:
            os.kill(os.getpid(), signal.SIGKILL)
        finish(self, chunk, rows)

    chunks.Journal.finish = kill
    import_(listed(), target)


@pytest.mark.usefixtures("small_chunks")
def test_killed_goes_on_where_it_was(target, tmp_path):
    context = multiprocessing.get_context("fork")
    for finished in (2, 1, 3):
        process = context.Process(target=_killed_after, args=(target, finished))
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        assert not target.exists()
    memory = listed().read
    dataset = import_(listed(read=memory), target)
    assert dataset.fingerprint == import_(listed(), tmp_path / "whole").fingerprint
    verify(dataset)
    # 2 test and valid chunks of 6 and four of train are finished, five chunks of 8 are not
    sampled = 16
    assert sum(memory.reads.values()) < 60 - sampled
    assert not (target.parent / ".zoo.part").exists()


@pytest.mark.parametrize("moment", ["describe", "replace"])
def test_interrupted_before_and_after_the_rename(target, monkeypatch, moment):
    def fail(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(f"trainables.data.importing.job.{moment}", fail)
        with pytest.raises(KeyboardInterrupt):
            import_(listed(), target)
    assert target.exists() == (moment == "replace")
    memory = listed().read
    dataset = import_(listed(read=memory), target)
    assert not memory.reads
    assert dataset == open_dataset(target)
    assert not (target.parent / ".zoo.part").exists()


def test_the_same_again_does_nothing_and_another_is_refused(target):
    first = import_(listed(), target)
    said: list[str] = []
    memory = listed().read
    assert import_(listed(read=memory), target, note=said.append) == first
    assert "was imported before" in said[-1]
    assert not memory.reads
    with pytest.raises(ImportRequestError, match=r"exists and is of something else.*--to"):
        import_(listed(), target, seed=1)
    (target / "import.json").unlink()
    with pytest.raises(ImportRequestError, match="exists and is of something else"):
        import_(listed(), target)


def test_an_unfinished_import_of_something_else_is_dropped(target):
    problems(spoilt(), target)
    said: list[str] = []
    dataset = import_(listed(), target, note=said.append)
    assert "an unfinished import of something else as zoo is dropped" in said
    assert dataset.rows("train") == 48


def test_an_import_whose_journal_is_damaged_begins_anew(target):
    problems(spoilt(), target)
    journal = target.parent / ".zoo.part" / "journal.sqlite"
    journal.write_bytes(b"x" * 5000)
    dataset = import_(spoilt(), target, skip_bad=True)
    assert dataset.rows("train") == 53


@pytest.mark.parametrize("name", ["digits", "-x", ".x", "a b", "x" * 65, "ä"])
def test_names_that_cannot_be(target, name):
    with pytest.raises(ImportRequestError, match=r"cannot be the name|comes with the package"):
        import_(listed(), target.with_name(name))
    with pytest.raises(ImportRequestError, match=r"shares 1 0 1: give a number above 0"):
        import_(listed(), target, splits=(1, 0, 1))


def test_full_disk_is_refused_before_anything_is_written(target, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9, 1000))
    with pytest.raises(OSError, match=r"needs about 67 MB.*make room"):
        import_(listed(), target)


def test_few_images_are_in_memory(target, monkeypatch):
    """Images are read no further ahead than a window, and large ones make small shards."""
    waiting, most, lock = 0, 0, threading.Lock()
    memory = listed(400).read

    def read(index: int) -> bytes:
        nonlocal waiting, most
        with lock:
            waiting += 1
            most = max(most, waiting)
        return memory(index)

    def count(*_):
        nonlocal waiting
        waiting -= 1

    monkeypatch.setattr("trainables.data.importing.job.SAMPLED", 0)
    import_(listed(400, read=read), target, progress=count)
    assert most <= chunks.AHEAD + 2
    assert chunks.rows_per_chunk(15_000) == 2048
    assert chunks.rows_per_chunk(5_000_000) == 53


def test_progress_counts_every_image(target):
    calls: list[tuple[int, int]] = []
    import_(spoilt(), target, skip_bad=True, progress=lambda *call: calls.append(call))
    assert calls[-1] == (90, 90)
    assert len(calls) == 90


def test_the_record_says_where_it_is_from(target):
    import_(listed(), target, origin="folder: /somewhere")
    record = json.loads((target / "import.json").read_text())
    assert (record["origin"], record["left_out"]) == ("folder: /somewhere", 0)
    assert next(batches(next(target.glob("train-*.parquet")), [])).images


def deep(seed: int, peak: int) -> bytes:
    """A grey PNG of 16 bits whose highest pixel is `peak`."""
    pixels = np.random.default_rng(seed).integers(0, peak + 1, (6, 6), np.uint16)
    pixels[0, 0] = peak
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def of_sixteen_bits(peak: int, **changes) -> Listing:
    """Images of 16 bits and of 8 in turn; one alone has the highest pixel."""
    images = [deep(i, 1000) if i % 2 else png(i) for i in range(60)]
    images[31] = deep(99, peak)
    return listed(read=Memory(images), **changes)


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize(("peak", "bits"), [(4095, 12), (3000, 12), (5000, 14), (65_535, 16)])
def test_bits_of_sixteen_bit_images_are_those_they_use(target, peak, bits):
    said: list[str] = []
    dataset = import_(of_sixteen_bits(peak), target, note=said.append)
    assert dataset.bits == open_dataset(target).bits == bits
    told = [note for note in said if "16-bit" in note]
    wanted = f"pixels of the 16-bit images are {peak:,} at most: read as {bits} bits"
    assert told == ([] if bits == 16 else [f"{wanted}, {2**bits - 1:,} is white; {OTHER}"])


OTHER = "--bits 16 would take their whole range"


def test_bits_may_be_said(target):
    said: list[str] = []
    about = About(bits=16)
    dataset = import_(of_sixteen_bits(4095, about=about), target, note=said.append)
    assert dataset.bits == 16
    assert any("read as 16 bits, 65,535 is white; as --bits says" in note for note in said)
    assert dataset.fingerprint != replace(dataset, bits=12).fingerprint
    assert json.loads((target / "dataset.json").read_text()).get("bits") is None


@pytest.mark.usefixtures("small_chunks")
def test_bits_are_known_after_an_interruption(target, monkeypatch):
    def fail(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("trainables.data.importing.job.describe", fail)
        with pytest.raises(KeyboardInterrupt):
            import_(of_sixteen_bits(4095), target)
    assert import_(of_sixteen_bits(4095), target).bits == 12


@pytest.mark.usefixtures("small_chunks")
def test_a_journal_of_an_earlier_version_goes_on(target, monkeypatch):
    """It did not look for 16 bits: describe does."""
    with monkeypatch.context() as patch:
        patch.setattr("trainables.data.importing.job.describe", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            import_(of_sixteen_bits(4095), target)
    with sqlite3.connect(target.parent / ".zoo.part" / "journal.sqlite") as journal:
        journal.execute("DROP TABLE peaks")
    assert import_(of_sixteen_bits(4095), target).bits == 12


def test_an_import_without_sixteen_bits_has_the_key_of_earlier_versions(target):
    """So that the same command finds what they imported."""
    import_(listed(), target)
    assert json.loads((target / "import.json").read_text())["key"] == KEY


KEY = "1a3f6db5c7a07c64cd9e326974e5734c916a85fbed0d8df9c0ccf477b427a064"
