"""The cache of decoded images: made once, by one process, right or not at all."""

import io
import json
import multiprocessing
import os
import random
import shutil
from collections import namedtuple
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
from PIL import Image

from trainables.data import DataError, cache, checksums, decoded, describe
from trainables.data.parquet import write_split

ROWS = 150


def png(index: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (6, 6), (index, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def dataset(tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    for split in ("train", "valid", "test"):
        write_split(folder, split, [(png(i), f"{i}.png", i % 3) for i in range(ROWS)], "abc")
    return describe(folder)


@pytest.fixture
def store(tmp_path):
    return tmp_path / "cache"


def forbid(monkeypatch):
    def decode(*_):
        raise AssertionError("decoded again")

    monkeypatch.setattr(cache, "decode", decode)


def test_images_and_labels_in_order(dataset, store):
    calls = []
    images, labels = decoded(dataset, "train", 6, store, lambda *call: calls.append(call))
    assert images.shape == (ROWS, 3, 6, 6)
    assert images[:, 0, 3, 3].tolist() == list(range(ROWS))
    assert labels.dtype == np.int64
    assert labels.tolist() == [i % 3 for i in range(ROWS)]
    assert isinstance(images, np.memmap)
    assert calls[-1] == (ROWS, ROWS)
    with pytest.raises(ValueError, match="read-only"):
        images[0] = 1


def test_second_call_decodes_nothing(dataset, store, monkeypatch):
    first, _ = decoded(dataset, "train", 6, store)
    forbid(monkeypatch)
    second, _ = decoded(dataset, "train", 6, store)
    np.testing.assert_array_equal(first, second)
    with pytest.raises(AssertionError, match="decoded again"):
        decoded(dataset, "train", 7, store)
    assert not list(store.rglob("*.part"))


def test_damaged_cache_is_made_again(dataset, store):
    decoded(dataset, "test", 6, store)
    (path,) = store.rglob("images.npy")
    path.write_bytes(path.read_bytes()[:-100])
    images, _ = decoded(dataset, "test", 6, store)
    assert images[-1, 0, 0, 0] == ROWS - 1


def flipped(path, place, bit):
    """Flips a bit as a bad disk does: the time of the last change stays."""
    before = path.stat()
    with path.open("r+b") as handle:
        handle.seek(place)
        (byte,) = handle.read(1)
        handle.seek(place)
        handle.write(bytes([byte ^ (1 << bit)]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["images.npy", "labels.npy", "checksums.json"])
def test_no_flipped_bit_goes_unnoticed(dataset, store, name, caplog, monkeypatch):
    monkeypatch.setattr(checksums, "BLOCK_BYTES", 5000)
    wanted, labels = decoded(dataset, "test", 6, store)
    wanted, draw = np.array(wanted), random.Random(0)
    for _ in range(30):
        (path,) = store.rglob(name)
        flipped(path, draw.randrange(path.stat().st_size), draw.randrange(8))
        monkeypatch.setattr(cache, "_found_whole", set())  # as in a new process
        caplog.clear()
        again, again_labels = decoded(dataset, "test", 6, store)
        np.testing.assert_array_equal(again, wanted)
        np.testing.assert_array_equal(again_labels, labels)
        (said,) = [record.getMessage() for record in caplog.records]
        assert str(path.parent) in said
        assert "the decoded images are made again" in said


def test_a_whole_cache_is_read_once_a_process(dataset, store, monkeypatch, caplog):
    decoded(dataset, "test", 6, store)
    monkeypatch.setattr(checksums, "of_file", lambda _: pytest.fail("read again"))
    decoded(dataset, "test", 6, store)
    monkeypatch.setattr(cache, "_found_whole", set())
    with pytest.raises(pytest.fail.Exception, match="read again"):
        decoded(dataset, "test", 6, store)
    assert not caplog.records


def test_labels_are_those_of_the_shards(dataset, store, caplog):
    """Labels that were written wrong have the right checksum: only the shards know better."""
    decoded(dataset, "test", 6, store)
    (path,) = store.rglob("labels.npy")
    np.save(path, np.full(ROWS, 2))
    sums = {name: checksums.of_file(path.parent / name) for name in ("images.npy", "labels.npy")}
    (path.parent / "checksums.json").write_text(json.dumps(sums))
    _, labels = decoded(dataset, "test", 6, store)
    assert labels.tolist() == [i % 3 for i in range(ROWS)]
    assert "its labels are not those of the shards" in caplog.text


def test_a_cache_without_checksums_is_made_again(dataset, store, caplog):
    """As an earlier version wrote it."""
    decoded(dataset, "test", 6, store)
    (path,) = store.rglob("checksums.json")
    path.unlink()
    np.save(path.with_name("images.npy"), np.zeros((ROWS, 3, 6, 6), np.uint8))
    images, _ = decoded(dataset, "test", 6, store)
    assert images[-1, 0, 0, 0] == ROWS - 1
    assert "without checksums, from an earlier version" in caplog.text
    assert path.exists()


def _process(arguments):
    dataset, store = arguments
    calls = []
    images, labels = decoded(dataset, "train", 6, store, lambda *call: calls.append(call))
    return bool(calls), int(np.asarray(images, np.int64).sum()), int(labels.sum())


def test_two_processes_at_once_decode_once(dataset, store):
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        (made, *one), (also, *two) = pool.map(_process, [(dataset, store)] * 2)
    assert one == two
    assert made != also


def test_all_undecodable_images_are_named(dataset, store):
    rows = [(b"x" if i % 5 == 0 else png(i), "", i % 3) for i in range(ROWS)]
    write_split(dataset.path, "valid", rows, "abc")
    dataset = describe(dataset.path)
    with pytest.raises(DataError) as caught:
        decoded(dataset, "valid", 6, store)
    first, *_, last = caught.value.mistakes
    assert first.startswith("valid-00000-of-00001.parquet, row group 0, row 0: not an image")
    assert "row group 1, row 130" not in str(caught.value)
    assert last.startswith("and 10 more")
    assert len(caught.value.mistakes) == 21
    assert not list(store.rglob("*.npy"))


def test_shards_changed_since_they_were_opened(dataset, store):
    write_split(dataset.path, "test", [(png(1), "", 1)] * 7, "abc")
    with pytest.raises(DataError, match="have changed since it was opened"):
        decoded(dataset, "test", 6, store)
    (dataset.path / "test-00000-of-00001.parquet").unlink()
    with pytest.raises(DataError, match=r"test-00000-of-00001\.parquet: damaged"):
        decoded(dataset, "test", 6, store)


def test_full_disk_is_refused_before_anything_is_written(dataset, store, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9, 1000))
    with pytest.raises(OSError, match=r"need 67 MB.*SEARCH_CACHE"):
        decoded(dataset, "train", 6, store)
    assert not list(store.rglob("*.npy"))


def test_default_place(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    monkeypatch.delenv("SEARCH_CACHE", raising=False)
    assert str(cache.default_cache_dir()) == "/x/efficient-vit-search"
    monkeypatch.setenv("SEARCH_CACHE", "/y")
    assert str(cache.default_cache_dir()) == "/y"
