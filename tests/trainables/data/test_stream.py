"""Pixels in three ways: the same samples, each once, bit for bit; a stream that can be resumed."""

import errno
import io
import itertools
from collections import Counter, namedtuple

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from trainables.data import DataError, cache, decoded, describe, parquet, pixels, stream
from trainables.data.parquet import write_split
from trainables.data.pixels import WAYS, open_pixels
from trainables.data.stream import Position, Stream

GROUP, SHARD, WINDOW = 5, 17, 3  # rows of a row group and of a shard, row groups of a window
SIZES = (2, 7, 43, 120)
PX = 9
CPU = torch.device("cpu")


def jpeg(index: int) -> bytes:
    noise = np.random.default_rng(index).integers(0, 256, (12 + index % 3, 14, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def make(folder, images: list[bytes]):
    """A data set whose train split has these images, in two classes."""
    folder.mkdir()
    rows = [(image, "", index % 2) for index, image in enumerate(images)]
    for split, used in (("train", rows), ("valid", rows[:2]), ("test", rows[:2])):
        write_split(folder, split, used, "ab")
    return describe(folder)


@pytest.fixture(scope="module", autouse=True)
def _small_groups():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parquet, "ROWS_PER_GROUP", GROUP)
        patch.setattr(parquet, "ROWS_PER_SHARD", SHARD)
        patch.setattr(stream, "WINDOW_ROWS", GROUP * WINDOW)
        yield


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    """Data sets by the number of their training images."""
    folder = tmp_path_factory.mktemp("sets")
    return {size: make(folder / str(size), [jpeg(i) for i in range(size)]) for size in SIZES}


def test_sixteen_bits_are_the_same_in_every_way(tmp_path):
    def grey(seed: int) -> bytes:
        noise = np.random.default_rng(seed).integers(0, 4096, (PX, PX), np.uint16)
        buffer = io.BytesIO()
        Image.fromarray(noise).save(buffer, "PNG")
        return buffer.getvalue()

    dataset = make(tmp_path / "deep", [grey(index) for index in range(20)])
    assert dataset.bits == 12
    images, _ = decoded(dataset, "train", PX)
    assert images.max() == 255
    (streamed,) = opened(dataset, "streamed").batches([torch.arange(20)])
    np.testing.assert_array_equal(streamed.numpy(), images)


@pytest.fixture(autouse=True)
def _nothing_resident(monkeypatch):
    monkeypatch.setattr(pixels, "_residents", {})


def chance(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def opened(dataset, way, **options):
    return open_pixels(dataset, "train", PX, CPU, way=way, workers=0, **options)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    size=st.sampled_from(SIZES),
    way=st.sampled_from(WAYS),
    world=st.integers(1, 9),
    batch=st.integers(1, 50),
    seed=st.integers(0, 2**31),
)
def test_every_sample_once_an_epoch_whatever_the_world(datasets, size, way, world, batch, seed):
    dataset = datasets[size]
    images, labels = decoded(dataset, "train", PX)
    found = opened(dataset, way)
    assert found.way == way
    assert found.labels.tolist() == labels.tolist()
    whole = found.order(chance(seed)).split(batch)
    seen: Counter[int] = Counter()
    for rank in range(world):
        own = [part[rank::world] for part in whole]
        got = list(found.batches(own))
        assert len(got) == len(own)
        for indices, batch_pixels in zip(own, got, strict=True):
            assert batch_pixels.dtype == torch.uint8
            np.testing.assert_array_equal(batch_pixels.numpy(), images[indices.numpy()])
            seen.update(indices.tolist())
    assert seen == Counter(range(size))


@pytest.mark.parametrize("way", WAYS)
def test_order_is_of_the_generator_alone(datasets, way):
    found, again = opened(datasets[120], way), opened(datasets[120], way)
    first = found.order(chance(1))
    next(found.batches([first[:7]]))
    assert torch.equal(found.order(chance(1)), first)
    assert torch.equal(again.order(chance(1)), first)
    assert not torch.equal(found.order(chance(2)), first)


@pytest.mark.parametrize("way", WAYS)
def test_no_random_number_of_the_model_is_taken(datasets, way):
    before = torch.get_rng_state()
    found = opened(datasets[43], way)
    list(found.batches(found.order(chance(0)).split(10)))
    assert torch.equal(torch.get_rng_state(), before)


def group_of(found: Stream, index: int) -> tuple[str, int]:
    return found.position(index)[:2]


@pytest.mark.parametrize("seed", range(5))
def test_few_row_groups_at_a_time_and_each_read_once(datasets, seed, monkeypatch):
    found = Stream(datasets[120], "train", PX, workers=0)
    order = found.order(chance(seed))
    groups = [group_of(found, index) for index in order.tolist()]
    met = dict.fromkeys(groups)
    for start in range(0, len(met), WINDOW):
        window = [*met][start : start + WINDOW]
        assert max(np.flatnonzero([g in window for g in groups])) - groups.index(window[0]) < (
            GROUP * WINDOW
        )
    assert groups != sorted(groups, key=[*met].index), "rows of a window are not mixed"
    assert {*[*met][:WINDOW]} != {*sorted(met)[:WINDOW]}, "row groups come in the order of files"
    reads = []
    read = pq.ParquetFile.read_row_group

    def counted(file, number, *arguments, **options):
        reads.append(number)
        return read(file, number, *arguments, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", counted)
    # as a worker of two that also wants the images that are cut into its own, from the other end
    own = [torch.cat((part[::2], part.flip(0)[::2])) for part in order.split(8)]
    list(found.batches(own))
    assert len(reads) == len(met)


def test_positions_name_every_sample(datasets):
    found = Stream(datasets[43], "train", PX)
    positions = [found.position(index) for index in range(43)]
    assert [found.index(position) for position in positions] == [*range(43)]
    assert positions[6] == ("train-00000-of-00003.parquet", 1, 6)
    assert positions[17] == ("train-00001-of-00003.parquet", 0, 0)
    assert str(positions[42]) == "train-00002-of-00003.parquet, row group 1, row 8"
    for index in (-1, 43):
        with pytest.raises(IndexError, match=r"outside 0\.\.42"):
            found.position(index)
        with pytest.raises(IndexError, match=r"outside 0\.\.42"):
            list(Stream(datasets[43], "train", PX, workers=0).batches([torch.tensor([index])]))
    with pytest.raises(DataError, match="row group 1, row 4: not in train of"):
        found.index(Position(positions[0].file, 1, 4))


@given(seed=st.integers(0, 2**31), batch=st.integers(1, 50), part=st.floats(0, 1))
@settings(max_examples=20, deadline=None)
def test_going_on_at_a_position_gives_the_batches_that_remain(datasets, seed, batch, part):
    found = Stream(datasets[43], "train", PX, workers=0)
    whole = found.order(chance(seed)).split(batch)
    number = int(part * (len(whole) - 1))
    noted = found.position(int(whole[number][0]))
    remaining = list(itertools.islice(found.batches(whole), number, None))

    resumed = Stream(datasets[43], "train", PX, workers=0)
    order = resumed.order(chance(seed))
    start = int((order == resumed.index(noted)).nonzero())
    again = list(resumed.batches(order[start:].split(batch)))
    assert len(again) == len(remaining)
    assert all(map(torch.equal, again, remaining))


@pytest.fixture
def broken(tmp_path):
    """Two images that are none, in different shards, and a row group with a flipped bit."""
    images = [b"x" if i in (2, 18) else jpeg(i) for i in range(43)]
    dataset = make(tmp_path / "broken", [jpeg(0)] * 43)
    write_split(dataset.path, "train", [(image, "", 0) for image in images], "ab")
    path = dataset.path / "train-00000-of-00003.parquet"
    content = path.read_bytes()
    assert content.count(images[7][-40:]) == 1
    path.write_bytes(content.replace(images[7][-40:], images[7][-40:-1] + b"?"))
    return dataset


PROBLEMS = (
    "train-00000-of-00003.parquet, row group 0, row 2: not an image of",
    "train-00000-of-00003.parquet, row group 1: damaged (",
    "train-00001-of-00003.parquet, row group 0, row 1: not an image of",
)


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_damage_is_named_with_its_places(broken, workers):
    found = open_pixels(broken, "train", PX, CPU, way="streamed", workers=workers)
    batches = found.batches([torch.tensor([42, 3]), torch.tensor([2, 7, 1, 18, 8])])
    assert next(batches).shape == (2, 3, PX, PX)
    with pytest.raises(DataError) as caught:
        next(batches)
    assert len(caught.value.mistakes) == len(PROBLEMS)
    assert all(map(str.startswith, caught.value.mistakes, PROBLEMS))


def test_shards_changed_since_they_were_opened(tmp_path):
    dataset = make(tmp_path / "set", [jpeg(i) for i in range(10)])
    found = Stream(dataset, "train", PX, workers=0)
    write_split(dataset.path, "train", [(jpeg(1), "", 1)] * 3, "ab")
    with pytest.raises(DataError, match="row group 0: has changed since it was opened"):
        list(found.batches([torch.tensor([1])]))
    with pytest.raises(DataError, match="shards of train have changed since it was opened"):
        Stream(dataset, "train", PX)
    (dataset.path / "train-00000-of-00001.parquet").unlink()
    with pytest.raises(DataError, match="row group 0: damaged"):
        list(found.batches([torch.tensor([1])]))
    with pytest.raises(DataError, match=r"00000-of-00001\.parquet: damaged"):
        Stream(dataset, "train", PX)


@pytest.mark.slow
def test_processes_decode_the_same(datasets):
    images, _ = decoded(datasets[120], "train", PX)
    found = Stream(datasets[120], "train", PX, workers=2)
    order = found.order(chance(0)).split(7)
    for indices, batch in zip(order, found.batches(order), strict=True):
        np.testing.assert_array_equal(batch.numpy(), images[indices.numpy()])


SMALL = 43 * 3 * PX * PX


def test_the_limit_of_the_cache(datasets, tmp_path, monkeypatch):
    where = {"cache_dir": tmp_path / "cache"}
    found = opened(datasets[43], None, limit_bytes=SMALL - 1, **where)
    assert found.way == "streamed"
    assert found.why == "train takes 0.0 MB decoded; the limit for a split is 0.0 MB"
    assert not (tmp_path / "cache").exists()
    assert opened(datasets[43], None, limit_bytes=SMALL, **where).way == "mapped"
    monkeypatch.setenv("SEARCH_CACHE_LIMIT_BYTES", str(SMALL - 1))
    assert opened(datasets[43], None, **where).way == "streamed"
    assert opened(datasets[43], "mapped", **where).way == "mapped"
    monkeypatch.setenv("SEARCH_CACHE_LIMIT_BYTES", "10 GB")
    with pytest.raises(ValueError, match="LIMIT_BYTES is '10 GB'; give a number of bytes"):
        opened(datasets[43], None)


def test_a_full_disk_streams_and_says_so(datasets, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda _: usage(10**9, 10**9, 1000))
    found = opened(datasets[43], None, cache_dir=tmp_path)
    assert found.way == "streamed"
    assert "need 67 MB" in found.why
    assert "0 MB free" in found.why
    with pytest.raises(OSError, match="need 67 MB"):
        opened(datasets[43], "mapped", cache_dir=tmp_path)


def test_another_error_of_the_disk_is_an_error(datasets, monkeypatch):
    def fails(*_):
        raise OSError(errno.EROFS, "read-only")

    monkeypatch.setattr(pixels, "decoded", fails)
    with pytest.raises(OSError, match="read-only"):
        opened(datasets[43], None)


def test_resident_needs_three_times_its_memory(datasets):
    assert opened(datasets[43], None).way == "mapped"
    found = opened(datasets[43], None, memory_bytes=3 * SMALL - 1)
    assert found.way == "mapped"
    assert found.why.endswith("images may take a third of the 0.0 MB free on cpu")
    assert opened(datasets[43], None, memory_bytes=3 * SMALL).way == "resident"
    again = opened(datasets[43], None, memory_bytes=0)
    assert (again.way, again.why[-20:]) == ("resident", "cpu holds it already")


def test_trials_share_what_is_resident_until_another_data_set(datasets):
    first, second = (opened(datasets[43], "resident") for _ in range(2))
    assert first._images is second._images
    opened(datasets[7], "resident")
    assert [images.shape[0] for images in pixels._residents.values()] == [7]
    # two images of valid may take a third of what the seven of train leave
    memory = (7 + 3 * 2) * 3 * PX * PX
    valid = [open_pixels(datasets[7], "valid", PX, CPU, memory_bytes=memory - i) for i in (1, 0)]
    assert [found.way for found in valid] == ["mapped", "resident"]
    assert [images.shape[0] for images in pixels._residents.values()] == [7, 2]


def test_memory_that_others_took_first(datasets, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("full")

    monkeypatch.setattr(pixels, "_copied", full)
    found = opened(datasets[43], None, memory_bytes=10**9)
    assert found.way == "mapped"
    assert found.why.endswith("1,000.0 MB free on cpu, which was taken before they were copied")
    with pytest.raises(torch.OutOfMemoryError):
        opened(datasets[43], "resident")


def test_unknown_way(datasets):
    with pytest.raises(ValueError, match=r"'maped'; there are: resident, mapped, streamed"):
        opened(datasets[43], "maped")


def test_gathered_ahead_for_another_device(datasets, monkeypatch):
    images, labels = decoded(datasets[43], "train", PX)
    found = pixels.Mapped(images, torch.from_numpy(labels), torch.device("meta"), "")
    gathered = []

    def pinned(indices):
        gathered.append(len(indices))
        return found._gathered(indices)

    monkeypatch.setattr(found, "_pinned", pinned)
    order = torch.arange(43).split(4)
    shapes = [batch.shape for batch in found.batches(order)]
    assert shapes == [(len(part), 3, PX, PX) for part in order]
    assert gathered == [len(part) for part in order]
    gathered.clear()
    batches = found.batches(order)
    next(batches)
    batches.close()
    assert len(gathered) <= 1 + pixels.GATHERED_AHEAD
