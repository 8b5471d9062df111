"""A folder of shards: written, described, opened; every mistake is named, all at once."""

import io
import json
import pickle
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from trainables.data import DataError, Symmetries, describe, open_dataset, verify
from trainables.data.describe import About
from trainables.data.parquet import batches, class_names, write_split

SHARD = "train-00000-of-00001.parquet"
IMAGE = pa.struct({"bytes": pa.binary(), "path": pa.string()})


def png(grey: int, size: int = 6) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (size, size + 2), (grey, 0, 255 - grey)).save(buffer, "PNG")
    return buffer.getvalue()


def row(label: int) -> tuple[bytes, str, int]:
    return png(40 * label), f"{label}.png", label


def write_table(path, images, labels, label_type=None, image_type=IMAGE):
    columns = {"image": pa.array(images, image_type), "label": pa.array(labels, label_type)}
    pq.write_table(pa.table(columns), path, row_group_size=4)


@pytest.fixture
def folder(tmp_path):
    """Three classes, 8 + 4 + 4 images, described."""
    for split, labels in {"train": [0, 1, 2, 0, 1, 2, 0, 1], "valid": [0, 1, 2, 2]}.items():
        write_split(tmp_path, split, map(row, labels), ("a", "b", "c"))
    write_split(tmp_path, "test", map(row, [2, 1, 0, 0]), ("a", "b", "c"))
    describe(tmp_path, About(name="tiny", source="here", licence="MIT"))
    return tmp_path


def problems(path) -> list[str]:
    with pytest.raises(DataError) as caught:
        open_dataset(path)
    return caught.value.mistakes


def find(pattern: str, path) -> str:
    found = [problem for problem in problems(path) if re.search(pattern, problem)]
    assert found, f"{pattern!r} is not in {problems(path)}"
    return found[0]


def test_round_trip(folder):
    dataset = open_dataset(folder)
    assert (dataset.name, dataset.classes, dataset.num_classes) == ("tiny", ("a", "b", "c"), 3)
    assert dataset.class_counts("train") == (3, 3, 2)
    assert dataset.rows("valid") == 4
    assert dataset.image_size == 6
    assert dataset.symmetries == Symmetries(0.0, False, False)
    greys = 40 * np.array([0, 1, 2, 0, 1, 2, 0, 1]) / 255
    np.testing.assert_allclose(dataset.mean, (greys.mean(), 0, 1 - greys.mean()), atol=1e-5)
    np.testing.assert_allclose(dataset.std, (greys.std(), 1e-3, greys.std()), atol=1e-5)
    (batch,) = batches(folder / SHARD, broken := [])
    assert not broken
    assert batch.labels.tolist() == [0, 1, 2, 0, 1, 2, 0, 1]
    assert batch.images[1] == png(40)
    verify(dataset)


def test_many_shards_keep_their_order(tmp_path, monkeypatch):
    monkeypatch.setattr("trainables.data.parquet.ROWS_PER_SHARD", 3)
    monkeypatch.setattr("trainables.data.parquet.ROWS_PER_GROUP", 2)
    labels = [0, 1, 1, 0, 1, 0, 0]
    for split in ("train", "valid", "test"):
        write_split(tmp_path, split, map(row, labels), "ab")
    dataset = describe(tmp_path)
    names = [path.name for path in dataset.shards_of("train")]
    assert names == [f"train-0000{i}-of-00003.parquet" for i in range(3)]
    read = [batch for path in dataset.shards_of("train") for batch in batches(path, [])]
    assert np.concatenate([batch.labels for batch in read]).tolist() == labels
    assert read[1].place(0) == "train-00000-of-00003.parquet, row group 1, row 2"


def test_fingerprint_is_of_the_content(folder, tmp_path_factory):
    before = open_dataset(folder).fingerprint
    copy = folder.rename(tmp_path_factory.mktemp("elsewhere") / "copy")
    assert open_dataset(copy).fingerprint == before
    describe(copy, About(classes=("a", "b", "d")))
    assert open_dataset(copy).fingerprint != before


def test_describe_keeps_what_was_written_by_hand(folder):
    side = json.loads((folder / "dataset.json").read_text())
    side["symmetries"]["rotation_degrees"] = 90
    (folder / "dataset.json").write_text(json.dumps(side))
    again = describe(folder)
    assert again == open_dataset(folder)
    assert (again.name, again.licence) == ("tiny", "MIT")
    assert again.symmetries.rotation_degrees == 90


def test_describe_names_classes_by_the_schema_or_by_number(folder):
    (folder / "dataset.json").unlink()
    assert class_names(folder / SHARD) == ["a", "b", "c"]
    assert describe(folder).classes == ("a", "b", "c")
    assert describe(folder).source == "unknown"
    (folder / "dataset.json").unlink()
    for path in folder.glob("*.parquet"):
        pq.write_table(pq.read_table(path).replace_schema_metadata(), path)
    assert describe(folder).classes == ("0", "1", "2")


def test_describe_names_an_image_it_cannot_decode(folder):
    images = [{"bytes": b"no image", "path": None}] + [{"bytes": png(9), "path": None}] * 2
    write_table(folder / SHARD, images, [0, 1, 2])
    with pytest.raises(DataError, match=rf"{SHARD}, row group 0, row 0: not an image of"):
        describe(folder)


def test_pickled_error_is_the_same():
    error = pickle.loads(pickle.dumps(DataError(["one", "two"])))
    assert error.mistakes == ["one", "two"]
    assert str(error) == "one\ntwo"


def test_no_folder(folder):
    assert "did you mean" in find("no such folder", folder.with_name(folder.name + "x"))
    assert "not a folder" in find("not a folder", folder / SHARD)


def test_no_parquet(tmp_path):
    assert find("no Parquet file", tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / SHARD).touch()
    assert str(tmp_path / "data") in find("no Parquet file; there are some in", tmp_path)


def test_foreign_parquet(folder):
    pq.write_table(pa.table({"img": [1.5], "target": ["x"]}), folder / SHARD)
    problem = find("no single column image and label", folder)
    assert "it has: img double, target string" in problem
    assert "wanted: image struct<bytes: binary, path: string> and label int64" in problem


def test_missing_and_broken_side_file(folder):
    side = folder / "dataset.json"
    text = side.read_text()
    side.write_text(text[:50])
    assert find("dataset.json: no readable JSON", folder)
    document = json.loads(text)
    del document["classes"]
    document["mean"] = [0.5, 2, 0.5]
    document["shards"][0]["file"] = "../../etc/passwd"
    side.write_text(json.dumps(document))
    assert find("'classes' is missing, wanted a list of two or more", folder)
    assert find(r"'mean' should be three numbers from 0 to 1, is \[0.5, 2, 0.5\]", folder)
    assert find("'shards' should be", folder)
    side.unlink()
    assert f"python -m trainables.data describe {folder}" in find("json: missing", folder)


def test_wrong_types(folder):
    write_table(folder / SHARD, [b"1"], [1], pa.int32(), pa.binary())
    assert find(f"{SHARD}: column image is binary; wanted: image struct", folder)
    assert find(f"{SHARD}: column label is int32; wanted: int64", folder)


def test_nulls(folder):
    images = [{"bytes": png(1), "path": None}] * 5 + [{"bytes": None, "path": "1.png"}]
    write_table(folder / SHARD, images, [0, 1, None, 2, None, 1], pa.int64())
    assert find(rf"{SHARD}, row group 1: 1 null image.bytes", folder)
    assert find(rf"{SHARD}, row group 0, row 2: label is null .*and 1 more", folder)


@pytest.mark.parametrize("label", [3, -1, 2**62])
def test_label_out_of_range(folder, label):
    images = [{"bytes": png(1), "path": None}] * 6
    write_table(folder / SHARD, images, [0, 1, 2, 0, 1, label])
    assert find(rf"{SHARD}, row group 1, row 5: label {label} is outside 0..2", folder)


def test_class_missing_in_a_split(folder):
    write_split(folder, "valid", map(row, [0, 1, 0, 1]), ("a", "b", "c"))
    assert find(r"valid: no image of class 2 \('c'\)", folder)
    with pytest.raises(DataError, match=r"valid: no image of class 2 \('c'\)"):
        describe(folder)


def test_missing_split_and_gap_in_the_numbers(folder):
    (folder / "test-00000-of-00001.parquet").unlink()
    (folder / SHARD).rename(folder / "train-00001-of-00002.parquet")
    assert find("test: its shards should be numbered .* there are: none", folder)
    assert find("train: its shards should be .* there are: 00001-of-00002", folder)
    assert find("test-00000-of-00001.parquet: missing, dataset.json lists it", folder)
    assert find("train-00001-of-00002.parquet: not listed in dataset.json", folder)


def test_misnamed_shard(folder):
    (folder / SHARD).rename(folder / "training.parquet")
    assert find("training.parquet: not the name of a shard; rename it after", folder)


def test_changed_shard(folder):
    write_split(folder, "train", map(row, [0, 1, 2]), ("a", "b", "c"))
    assert find(rf"{SHARD}: [\d,]+ bytes, dataset.json says [\d,]+; copy it again", folder)
    assert find(rf"{SHARD}: 3 rows, dataset.json says 8", folder)
    assert find(r"train: its labels count \[1, 1, 1\], dataset.json says \[3, 3, 2\]", folder)


def test_truncated_shard(folder):
    path = folder / SHARD
    path.write_bytes(path.read_bytes()[:-20])
    assert find(f"{SHARD}: not a readable Parquet file", folder)


def test_flipped_bit_is_found_by_its_hash(folder):
    path = folder / SHARD
    path.write_bytes(path.read_bytes().replace(png(40)[:20], png(40)[:19] + b"x"))
    dataset = open_dataset(folder)
    with pytest.raises(DataError, match=rf"{SHARD}: its SHA-256 is"):
        verify(dataset)
    list(batches(path, broken := []))
    assert re.match(rf"{SHARD}, row group 0: damaged \(.*; copy the file again", broken[0])


def test_further_columns_are_left_alone(folder):
    for path in folder.glob("*.parquet"):
        table = pq.read_table(path)
        pq.write_table(table.append_column("id", pa.array(range(len(table)))), path)
    assert describe(folder).rows("train") == 8
    assert len(next(batches(folder / SHARD, [])).images) == 8


def test_describe_says_where_too_few_class_names_come_from(folder):
    write_split(folder, "train", map(row, [0, 1, 2, 3]), ("a", "b", "c"))
    with pytest.raises(DataError, match=r"label 3 is outside 0..2(.|\n)*name the others there"):
        describe(folder)


def test_all_mistakes_in_one_answer(folder):
    (folder / "dataset.json").unlink()
    write_table(folder / SHARD, [b"1"], [1], pa.int32(), pa.binary())
    (folder / "test-00000-of-00001.parquet").write_bytes(b"PAR1")
    found = problems(folder)
    assert len(found) == 4
    assert all(name in "\n".join(found) for name in ("dataset.json", SHARD, "test-00000"))


def test_bits_of_an_older_side_file_and_wrong_ones(folder):
    """A `dataset.json` without bits is of images that use all 16; described again it keeps them."""
    assert open_dataset(folder).bits == 16
    path = folder / "dataset.json"
    whole = json.loads(path.read_text())
    assert "bits" not in whole
    path.write_text(json.dumps(whole | {"bits": 12}))
    assert open_dataset(folder).bits == describe(folder).bits == 12
    for wrong in (7, 17, "12", 12.5, None):
        path.write_text(json.dumps(whole | {"bits": wrong}))
        assert find("'bits' should be a number from 8 to 16", folder)
