"""Forms of sources of images: what each finds, what it refuses, how they are recognised."""

import gzip
import io
import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from trainables.data import DataError, Symmetries
from trainables.data.builtin import galaxies
from trainables.data.importing import forms
from trainables.data.importing.array_images import from_arrays
from trainables.data.importing.forms import (
    Options,
    UnknownFormError,
    arrays,
    folder,
    galaxy_zoo,
    huggingface,
    table,
)
from trainables.data.importing.forms.table import numbered
from trainables.data.importing.importer import listing_mistakes
from trainables.data.importing.label_table import texts
from trainables.data.importing.splitting import TEST, TRAIN, VALID

IMAGE = pa.struct({"path": pa.string(), "bytes": pa.binary()})


def put(root: Path, *paths: str) -> Path:
    """Files that hold their own path: forms look at no image."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(path.encode())
    return root


def rows(listing) -> dict[str, tuple[str, int, bytes]]:
    """(class, split, bytes) of each image by its id."""
    return {
        identity: (
            listing.classes[listing.labels[index]],
            int(listing.splits[index]),
            listing.read(index),
        )
        for index, identity in enumerate(listing.ids)
    }


def mistake(form, source: Path, **options) -> str:
    with pytest.raises(DataError) as caught:
        form.listing(source, Options(**options))
    return str(caught.value)


# one folder per class


def test_names_that_cannot_be_printed_are_told(tmp_path):
    put(tmp_path, "ant/1.jpg", "cat/1.jpg")
    for name in (b"\xff.jpg", b"a\nb.jpg"):
        Path(os.fsdecode(bytes(tmp_path) + b"/ant/" + name)).write_bytes(b"")
    listing = folder.listing(tmp_path, Options())
    assert listing.ids == ["ant/1.jpg", "cat/1.jpg"]
    assert sorted(identity for identity, _ in listing.problems) == [
        "'ant/\\udcff.jpg'",
        "'ant/a\\nb.jpg'",
    ]
    assert {reason for _, reason in listing.problems} == {"its name cannot be printed; rename it"}


def test_spaces_of_any_width_are_names_as_others(tmp_path):
    """No-break, wide and narrow spaces, joiners, and characters newer than this Python's tables."""
    names = (
        "a\u00a0b",
        "鳥\u3000類",
        "c\u202fd",
        "\u0645\u06cc\u200c\u062e",
        "e\u200df",
        "\U0001fae9",
    )
    put(tmp_path, *(f"{name}/{name}.jpg" for name in names))
    listing = folder.listing(tmp_path, Options())
    assert not listing.problems
    assert set(listing.classes) == set(names)
    assert not listing_mistakes(listing)


@pytest.mark.parametrize("name", ["a\u2028b", "a\u2029b", "a\x7fb", "a\x9bb", "gpj.\u202exe"])
def test_names_that_would_change_a_message_are_told(tmp_path, name):
    put(tmp_path, "x/1.jpg", "y/1.jpg", f"x/{name}.jpg")
    listing = folder.listing(tmp_path, Options())
    assert [reason for _, reason in listing.problems] == ["its name cannot be printed; rename it"]


def test_folder(tmp_path):
    put(tmp_path, "cat/1.jpg", "cat/old/2.PNG", "ant/1.jpeg", "ant/notes.txt", ".git/x.jpg")
    put(tmp_path, "ant/.hidden.jpg", "ant/naïve name.webp")
    listing = folder.listing(tmp_path, Options())
    assert listing.classes == ("ant", "cat")
    assert rows(listing) == {
        "ant/1.jpeg": ("ant", -1, b"ant/1.jpeg"),
        "ant/naïve name.webp": ("ant", -1, "ant/naïve name.webp".encode()),
        "cat/1.jpg": ("cat", -1, b"cat/1.jpg"),
        "cat/old/2.PNG": ("cat", -1, b"cat/old/2.PNG"),
    }
    assert listing.notes == ["files without the suffix of an image are left out: 1 .txt"]


def test_folder_with_splits(tmp_path):
    put(tmp_path, "train/a/1.jpg", "train/b/1.jpg", "val/a/1.jpg", "test/b/2.jpg", "test/c/1.jpg")
    found = rows(folder.listing(tmp_path, Options()))
    assert {key: value[:2] for key, value in found.items()} == {
        "train/a/1.jpg": ("a", TRAIN),
        "train/b/1.jpg": ("b", TRAIN),
        "val/a/1.jpg": ("a", VALID),
        "test/b/2.jpg": ("b", TEST),
        "test/c/1.jpg": ("c", TEST),
    }


def test_links_are_followed_and_told(tmp_path):
    """A split made of links, a class that is on another disk."""
    outside = put(tmp_path / "outside", "other.jpg", "more/1.jpg", "more/deep/2.jpg")
    source = put(tmp_path / "source", "a/1.jpg", "b/1.jpg")
    (source / "a/2.jpg").symlink_to(outside / "other.jpg")
    (source / "a/3.jpg").symlink_to("1.jpg")
    (source / "c").symlink_to(outside / "more")
    listing = folder.listing(source, Options())
    assert rows(listing) == {
        "a/1.jpg": ("a", -1, b"a/1.jpg"),
        "a/2.jpg": ("a", -1, b"other.jpg"),
        "a/3.jpg": ("a", -1, b"a/1.jpg"),
        "b/1.jpg": ("b", -1, b"b/1.jpg"),
        "c/1.jpg": ("c", -1, b"more/1.jpg"),
        "c/deep/2.jpg": ("c", -1, b"more/deep/2.jpg"),
    }
    assert not listing.problems
    (said,) = listing.notes
    assert said.startswith("3 links are followed: ")
    (source / "c").unlink()
    (source / "c").symlink_to(tmp_path)
    with pytest.raises(OSError, match=r"leads outside|No such file"):  # elsewhere than when found
        listing.read(listing.ids.index("c/1.jpg"))


def test_links_that_cannot_be_followed_are_the_reason(tmp_path):
    source = put(tmp_path / "source", "a/1.jpg", "b/1.jpg", "d/e/1.jpg", "d/f/1.jpg")
    (source / "a/4.jpg").symlink_to("nowhere.jpg")
    (source / "a/5.jpg").symlink_to("5.jpg")
    (source / "b/loop").symlink_to(source)
    (source / "c").symlink_to(source)
    (source / "d/e/f").symlink_to("../f")
    (source / "d/f/e").symlink_to("../e")
    listing = folder.listing(source, Options())
    found = {"a/1.jpg", "b/1.jpg", "d/e/1.jpg", "d/f/1.jpg", "d/e/f/1.jpg", "d/f/e/1.jpg"}
    assert set(listing.ids) == found
    problems = dict(listing.problems)
    assert "leads nowhere" in problems["a/4.jpg"]
    assert "leads nowhere" in problems["a/5.jpg"]
    back = {path for path, reason in problems.items() if reason.startswith("a link back to")}
    assert back == {"b/loop", "c", "d/e/f/e", "d/f/e/f"}


def test_a_source_of_dead_links_alone_says_so(tmp_path):
    for path in ("a/1.jpg", "b/1.jpg"):
        (tmp_path / path).parent.mkdir()
        (tmp_path / path).symlink_to("/nowhere/1.jpg")
    with pytest.raises(UnknownFormError, match=r"a/1\.jpg: a link that leads nowhere"):
        forms.recognised(tmp_path, Options())


def test_a_file_that_became_a_link_or_a_pipe_is_not_read(tmp_path):
    outside = put(tmp_path / "outside", "secret.jpg")
    source = put(tmp_path / "source", "a/1.jpg", "a/2.jpg", "b/1.jpg")
    listing = folder.listing(source, Options())
    for name in ("a/1.jpg", "a/2.jpg"):
        (source / name).unlink()
    (source / "a/1.jpg").symlink_to(outside / "secret.jpg")
    os.mkfifo(source / "a/2.jpg")
    with pytest.raises(OSError, match="leads outside"):
        listing.read(0)
    with pytest.raises(OSError, match="not a regular file"):
        listing.read(1)


def test_folder_mistakes(tmp_path):
    assert "not a folder" in mistake(folder, tmp_path / "no")
    assert "no folder in it" in mistake(folder, tmp_path)
    put(tmp_path, "train/a/1.jpg", "birds/1.jpg")
    assert "train are splits and birds are not" in mistake(folder, tmp_path)
    put(tmp_path / "b", "a/1.jpg", "b/1.jpg", "1.jpg")
    assert "1 images, such as 1.jpg, lie beside" in mistake(folder, tmp_path / "b")
    put(tmp_path / "split", "train/cat/1.jpg", "train/ant/1.jpg", "val/3.jpg", "val/2.jpg")
    assert "val: 2 images, such as 2.jpg, lie beside" in mistake(folder, tmp_path / "split")
    put(tmp_path / "c", "a/1.jpg", "b/1.jpg")
    said = mistake(folder, tmp_path / "c", classes=("a", "c"))
    assert "folders of no given class: b; the classes given are: a, c" in said


# a table of labels


def test_table(tmp_path):
    put(tmp_path, "1.jpg", "588297863638220935.png", "588297863638220936.jpg", "x/3.jpg", "x/4.jpg")
    (tmp_path / "labels.csv").write_text(
        "\ufeffid,what,class,split\r\n1.jpg,x,cat,train\r\n588297863638220935,y,ant,val\r\n"
        '588297863638220936,y,"ant",\r\n3,,cat,test\r\nx/4.jpg,,dog,Testing\r\n'
    )
    found = rows(table.listing(tmp_path, Options()))
    assert found == {
        "1.jpg": ("cat", TRAIN, b"1.jpg"),
        "588297863638220935.png": ("ant", VALID, b"588297863638220935.png"),
        "588297863638220936.jpg": ("ant", -1, b"588297863638220936.jpg"),
        "x/3.jpg": ("cat", TEST, b"x/3.jpg"),
        "x/4.jpg": ("dog", TEST, b"x/4.jpg"),
    }


def test_table_names_every_row_that_it_cannot_use(tmp_path):
    source = put(tmp_path / "in", "1.jpg", "2.jpg", "2.png", "3.jpg", "4.jpg", "5.jpg")
    put(tmp_path, "out.jpg")
    labels = tmp_path / "of_all.tsv"
    labels.write_text(
        "file\tlabel\n1\ta\n1.jpg\tb\n2\ta\n3\t\n4\tb\n4.jpg\tb\n../out.jpg\ta\n"
        f"{tmp_path}/out.jpg\tb\nnone.jpg\tb\n\tb\n"
    )
    listing = table.listing(source, Options(labels=(labels,)))
    assert listing.ids == ["1.jpg", "4.jpg"]
    assert [reason for _, reason in listing.problems] == [
        "both 'a' and 'b', in of_all.tsv",
        "2 files have this name, such as 2.jpg, 2.png, in of_all.tsv",
        "has no label, in of_all.tsv",
        "named twice, in of_all.tsv",
        "leaves the folder of the images, in of_all.tsv",
        "leaves the folder of the images, in of_all.tsv",
        "no such image (the nearest file is 5.jpg), in of_all.tsv",
        "a row without a file, in of_all.tsv",
    ]
    assert listing.notes == ["4 images that no row names are left out"]


def test_metadata_of_imagefolder(tmp_path):
    put(tmp_path, "train/1.jpg", "train/b/2.jpg", "test/1.jpg")
    entries = [{"file_name": "1.jpg", "label": 1}, {"file_name": "b/2.jpg", "label": 10}]
    (tmp_path / "train/metadata.jsonl").write_text("\n".join(map(json.dumps, entries)))
    rows_of_test = pa.table({"file_name": ["1.jpg"], "label": pa.array([2], pa.int16())})
    pq.write_table(rows_of_test, tmp_path / "test/metadata.parquet")
    listing = table.listing(tmp_path, Options())
    assert listing.classes == ("1", "2", "10")
    assert rows(listing) == {
        "train/1.jpg": ("1", TRAIN, b"train/1.jpg"),
        "train/b/2.jpg": ("10", TRAIN, b"train/b/2.jpg"),
        "test/1.jpg": ("2", TEST, b"test/1.jpg"),
    }


def test_tables_called_after_splits(tmp_path):
    put(tmp_path, "1.jpg", "2.jpg", "3.jpg")
    for split, name in {"train": "1", "valid": "2", "test": "3"}.items():
        (tmp_path / f"{split}.csv").write_text(f"who;which\n{name};a\n")
    options = Options(id_column="who", label_column="which")
    assert table.fits(tmp_path, options)
    assert table.listing(tmp_path, options).splits.tolist() == [TEST, TRAIN, VALID]
    assert "no column 'witch' (did you mean 'which'?); it has: who, which" in mistake(
        table, tmp_path, id_column="who", label_column="witch"
    )
    assert "no column of files (file_name, filename, path" in mistake(table, tmp_path)


@pytest.mark.parametrize("suffix", ["parquet", "jsonl", "csv"])
def test_ids_never_go_through_floating_point(tmp_path, suffix):
    path = tmp_path / f"labels.{suffix}"
    entry = {"id": 588297863638220935.0, "label": "a"}
    if suffix == "parquet":
        pq.write_table(pa.Table.from_pylist([entry]), path)
    elif suffix == "jsonl":
        path.write_text(json.dumps(entry))
    else:
        path.write_text("id,label\n5.88298E+17,a\n")
    said = mistake(table, tmp_path)
    assert "floating-point numbers" in said or "a spreadsheet has rounded it" in said


@pytest.mark.parametrize("column", ["id", "label"])
def test_whole_numbers_that_became_floating_point_are_whole_again(tmp_path, column):
    """As pandas makes them of a column with a gap."""
    pq.write_table(pa.table({column: [1.0, None, 58950.0]}), tmp_path / "t.parquet")
    (tmp_path / "t.jsonl").write_text(f'{{"{column}": 1.0}}\n{{}}\n{{"{column}": 58950.0}}\n')
    for name in ("t.parquet", "t.jsonl"):
        assert texts(tmp_path / name, [column]) == [["1", "", "58950"]]


@pytest.mark.parametrize("column", ["id", "label"])
@pytest.mark.parametrize("number", [1.5, 588297863638220935.0, 2.0**53, float("inf")])
def test_other_floating_point_numbers_are_refused(tmp_path, column, number):
    pq.write_table(pa.table({column: [1.0, number]}), tmp_path / "t.parquet")
    (tmp_path / "t.jsonl").write_text(json.dumps({column: number}))
    for name in ("t.parquet", "t.jsonl"):
        with pytest.raises(DataError, match=f"column '{column}' holds floating-point numbers"):
            texts(tmp_path / name, [column])


def test_ids_of_eighteen_digits_stay_whole(tmp_path):
    ids = [588297863638220935, 588297863638220936]
    pq.write_table(pa.table({"id": ids}), tmp_path / "t.parquet")
    (tmp_path / "t.jsonl").write_text("\n".join(json.dumps({"id": i}) for i in ids))
    for name in ("t.parquet", "t.jsonl"):
        assert texts(tmp_path / name, ["id"]) == [[str(i) for i in ids]]


def test_table_mistakes(tmp_path):
    assert "there is not a file of labels" in mistake(table, tmp_path)
    (tmp_path / "t.csv").write_bytes(b"id,label\n\xff\xfe,a\n")
    assert "not readable" in mistake(table, tmp_path)
    (tmp_path / "t.csv").write_text("id,label,split\n1,a,holdout\n1,a,fold\n")
    assert "no splits: 'fold', 'holdout'; there are: train, valid, test" in mistake(table, tmp_path)
    put(tmp_path, "1.jpg")
    (tmp_path / "t.csv").write_text("id,label\n1,z\n")
    assert "labels of no given class: z" in mistake(table, tmp_path, classes=("a", "b"))


def test_labels_as_names_or_numbers():
    assert numbered(["10", "9"], None)[0] == ("9", "10")
    assert numbered(["b", "10", "a"], None)[0] == ("10", "a", "b")
    assert numbered(["1", "0"], ("a", "b"))[1].tolist() == [1, 0]
    assert numbered(["1", "0"], ("1", "0"))[1].tolist() == [0, 1]
    assert numbered(["1", "0"], ("1", "0"), by_number=True)[1].tolist() == [1, 0]


# Parquet files of Hugging Face


def shard(path: Path, images, labels, names=None, image_type=IMAGE, **more) -> None:
    features = {"label": {"_type": "ClassLabel", "names": names}}
    columns = {"image": pa.array(images, image_type), "label": labels, **more}
    written = pa.table(columns)
    if names:
        said = json.dumps({"info": {"features": features}})
        written = written.replace_schema_metadata({"huggingface": said})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(written, path, row_group_size=2)


def images_of(*texts: str | None) -> list[dict]:
    return [{"path": f"{t}.jpg", "bytes": t.encode() if t else None} for t in texts]


def test_huggingface(tmp_path):
    names = ["zebra", "ant", "none"]
    shard(tmp_path / "data/train-0-of-2.parquet", images_of("a", "b", "c"), [0, 1, 0], names)
    shard(tmp_path / "data/train-1-of-2.parquet", images_of("d", "e"), [1, -1], names)
    shard(tmp_path / "data/validation-0-of-1.parquet", images_of("f"), [1], names)
    shard(tmp_path / "data/test-0-of-1.parquet", images_of("g", None), [0, 1], names)
    listing = huggingface.listing(tmp_path, Options())
    assert listing.classes == ("zebra", "ant", "none")
    assert listing.in_order
    assert listing.problems == [("data/train-1-of-2.parquet:1", "has no label")]
    (without,) = [i for i, name in enumerate(listing.ids) if name.endswith("test-0-of-1.parquet:1")]
    with pytest.raises(OSError, match="no bytes, and a path alone is not followed"):
        listing.read(without)
    found = [
        (listing.classes[listing.labels[i]], int(listing.splits[i]), listing.read(i))
        for i in range(len(listing.ids))
        if i != without
    ]
    assert sorted(found, key=lambda row: row[2]) == [
        ("zebra", TRAIN, b"a"),
        ("ant", TRAIN, b"b"),
        ("zebra", TRAIN, b"c"),
        ("ant", TRAIN, b"d"),
        ("ant", VALID, b"f"),
        ("zebra", TEST, b"g"),
    ]


def test_huggingface_with_texts_plain_bytes_and_ids(tmp_path):
    ids = [588297863638220935, 588297863638220936]
    shard(tmp_path / "0000.parquet", [b"x", b"y"], ["b", "a"], image_type=pa.binary(), id_str=ids)
    listing = huggingface.listing(tmp_path, Options(id_column="id_str"))
    assert rows(listing) == {
        "588297863638220935": ("b", -1, b"x"),
        "588297863638220936": ("a", -1, b"y"),
    }


def test_huggingface_numbers_are_places_among_the_names(tmp_path):
    shard(tmp_path / "train.parquet", images_of("a", "b"), [0, 1], ["1", "0"])
    found = rows(huggingface.listing(tmp_path, Options()))
    assert [name for name, _, _ in found.values()] == ["1", "0"]


def test_huggingface_reads_a_row_group_once(tmp_path, monkeypatch):
    shard(tmp_path / "train.parquet", images_of(*"abcdefgh"), [0, 1] * 4)
    listing = huggingface.listing(tmp_path, Options())
    read, groups = pq.ParquetFile.read_row_group, []

    def counted(self, group, **options):
        groups.append(group)
        return read(self, group, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", counted)
    assert b"".join(map(listing.read, range(8))) == b"abcdefgh"
    assert groups == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "labels",
    [
        pa.array(["cat", "dog"]).dictionary_encode(),
        pa.array(["cat", "dog"], pa.large_string()).dictionary_encode(),
        pa.array(["cat", "dog"], pa.string_view()),
    ],
)
def test_categories_of_pandas(tmp_path, labels):
    shard(tmp_path / "train.parquet", images_of("a", "b"), labels)
    assert forms.recognised(tmp_path, Options()) == "huggingface"
    assert huggingface.listing(tmp_path, Options()).classes == ("cat", "dog")
    put(tmp_path / "t", "1.jpg", "2.jpg")
    pq.write_table(pa.table({"id": [1, 2], "label": labels}), tmp_path / "t/labels.parquet")
    assert table.listing(tmp_path / "t", Options()).classes == ("cat", "dog")


def test_categories_that_are_numbers(tmp_path):
    labels = pa.array([1, 0], pa.int64()).dictionary_encode()
    shard(tmp_path / "train.parquet", images_of("a", "b"), labels, ["1", "0"])
    found = rows(huggingface.listing(tmp_path, Options()))
    assert [name for name, _, _ in found.values()] == ["0", "1"]


def test_a_snapshot_of_the_hub_is_links(tmp_path):
    shard(tmp_path / "blobs/0a1b", images_of("a", "b"), [0, 1])
    put(tmp_path, "refs/main")
    data = tmp_path / "snapshots/abc/data"
    data.mkdir(parents=True)
    (data / "train-00000-of-00001.parquet").symlink_to("../../../blobs/0a1b")
    for source in (tmp_path / "snapshots/abc", tmp_path):
        assert forms.recognised(source, Options()) == "huggingface"
        listing = huggingface.listing(source, Options())
        assert [listing.read(0), listing.read(1)] == [b"a", b"b"]
        assert listing.splits.tolist() == [TRAIN, TRAIN]
        assert any("a link is followed: " in note for note in listing.notes)
    (tmp_path / "blobs/0a1b").unlink()
    with pytest.raises(UnknownFormError, match="a link that leads nowhere"):
        forms.recognised(tmp_path / "snapshots/abc", Options())


def test_parquet_of_other_columns_is_shown(tmp_path):
    pq.write_table(pa.table({"picture": [b"x"], "breed": ["pug"]}), tmp_path / "train.parquet")
    with pytest.raises(UnknownFormError, match="it has: picture binary, breed string"):
        forms.recognised(tmp_path, Options())


def test_huggingface_mistakes(tmp_path):
    assert "no Parquet file" in mistake(huggingface, tmp_path)
    shard(tmp_path / "a.parquet", images_of("a"), [0.5])
    shard(tmp_path / "b.parquet", ["a"], [1], image_type=pa.string())
    pq.write_table(pa.table({"x": [1]}), tmp_path / "c.parquet")
    (tmp_path / "d.parquet").write_bytes(b"PAR1")
    said = mistake(huggingface, tmp_path)
    assert "a.parquet: column label is double" in said
    assert "b.parquet: column image is string" in said
    assert "c.parquet: no single column image and label; it has: x int64" in said
    assert "d.parquet: damaged" in said


def test_huggingface_files_that_name_different_classes(tmp_path):
    shard(tmp_path / "train-0.parquet", images_of("a"), [0], ["a", "b"])
    shard(tmp_path / "test-0.parquet", images_of("b"), [1], ["b", "a"])
    assert "name different classes" in mistake(huggingface, tmp_path)
    (tmp_path / "test-0.parquet").unlink()
    shard(tmp_path / "test-0.parquet", images_of("b"), [7], ["a", "b"])
    assert "labels of no given class: 7" in mistake(huggingface, tmp_path)


def test_huggingface_damage_is_named_by_image(tmp_path):
    path = tmp_path / "train.parquet"
    pq.write_table(
        pa.table({"image": pa.array(images_of("a" * 500, "b" * 500), IMAGE), "label": [0, 1]}),
        path,
        compression="none",
        use_dictionary=False,
        write_page_checksum=True,
    )
    path.write_bytes(path.read_bytes().replace(b"a" * 500, b"a" * 499 + b"x"))
    listing = huggingface.listing(tmp_path, Options())
    with pytest.raises(OSError, match="row group 0 is damaged"):
        listing.read(0)


# Galaxy Zoo 2

GZ2 = {"train": [5, 6, 7], "valid": [8], "test": [295305]}


@pytest.fixture
def galaxy_tables(tmp_path):
    for split, ids in GZ2.items():
        lines = [f"{i},{i % 8},{i % 5},{i % 4},{i % 3}" for i in ids]
        text = "\n".join(["galaxyID,label1,label2,label3,label4", *lines])
        (tmp_path / f"gz2_{split}.csv").write_text(text)
    return tmp_path


@pytest.fixture
def galaxy_zip(galaxy_tables):
    with zipfile.ZipFile(galaxy_tables / "images_gz2.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for asset in (5, 6, 8, 9, 295305):
            archive.writestr(f"images/{asset}.jpg", f"galaxy {asset}")
        archive.writestr("__MACOSX/images/._5.jpg", "x")
    return galaxy_tables / "images_gz2.zip"


def test_galaxy_zoo_in_its_archive(galaxy_zip):
    listing = galaxy_zoo.listing(galaxy_zip, Options())
    assert listing.classes == galaxies.CLASSES
    assert rows(listing) == {
        "295305": (galaxies.CLASSES[1], TEST, b"galaxy 295305"),
        "5": ("unbarred spiral", TRAIN, b"galaxy 5"),
        "6": ("irregular", TRAIN, b"galaxy 6"),
        "8": ("round elliptical", VALID, b"galaxy 8"),
    }
    assert listing.problems == [("7", "no image 7.jpg in images_gz2.zip, in gz2_train.csv")]
    assert listing.notes == ["1 images that no table names are left out"]
    assert listing.about.symmetries == Symmetries(90, True, True)
    assert [p.name for p in galaxy_zip.parent.iterdir() if p.is_dir()] == []


def test_galaxy_zoo_in_a_folder_with_five_classes(galaxy_tables):
    put(galaxy_tables, *(f"images/{asset}.jpg" for asset in (5, 6, 7, 8, 295305)))
    options = Options(label_column="label2")
    listing = galaxy_zoo.listing(galaxy_tables, options)
    assert listing.classes == ("elliptical", "edge-on", "spiral", "irregular", "merger")
    assert rows(listing)["7"] == ("spiral", TRAIN, b"images/7.jpg")
    assert len(listing.ids) == 5
    said = mistake(galaxy_zoo, galaxy_tables, label_column="label9")
    assert "'label9'; there are: label1, label2, label3, label4" in said


def test_galaxy_zoo_as_zenodo_has_it(galaxy_zip):
    """The archive, the mapping and the tables in one folder, which is what is given."""
    put(galaxy_zip.parent, "README.txt")
    mapping = galaxy_zip.parent / "gz2_filename_mapping.csv"
    mapping.write_text("objid,sample,asset_id\n587722981736120347,original,5\n")
    for source in (galaxy_zip.parent, galaxy_zip):
        assert forms.recognised(source, Options()) == "galaxy_zoo"
        listing = galaxy_zoo.listing(source, Options())
        assert set(listing.ids) == {"5", "6", "8", "295305"}
        assert listing.read(listing.ids.index("8")) == b"galaxy 8"
        assert listing.problems == [("7", "no image 7.jpg in images_gz2.zip, in gz2_train.csv")]
    for table_of in galaxy_zip.parent.glob("gz2_*[ndt].csv"):
        table_of.unlink()
    with pytest.raises(
        UnknownFormError, match=r"no gz2_train\.csv and so on, which name the class"
    ):
        forms.recognised(galaxy_zip.parent, Options())


@pytest.mark.parametrize("suffix", ["csv", "csv.gz"])
def test_galaxy_zoo_by_the_ids_of_sdss(galaxy_zip, suffix):
    """The table of Hart et al., with no image of its last galaxy and no asset of the one before."""
    for path in galaxy_zip.parent.glob("gz2_*.csv"):
        path.unlink()
    ids = [587722981736120347 + index for index in range(4)]
    mapped = "\n".join(f"{i},original,{a}" for i, a in zip(ids, (5, 6, 8), strict=False))
    mapping = galaxy_zip.parent / "gz2_filename_mapping.csv"
    mapping.write_text(f"objid,sample,asset_id\n{mapped}\n")
    rows_of = "\n".join(f"{i},{'Er' if n % 2 else 'Sb'}" for n, i in enumerate(ids))
    written = f"dr7objid,gz2_class\n{rows_of}\n".encode()
    hart = galaxy_zip.parent / f"gz2_hart16.{suffix}"
    hart.write_bytes(gzip.compress(written) if suffix.endswith("gz") else written)
    with pytest.raises(UnknownFormError, match=r"--label-column; it has: dr7objid, gz2_class"):
        forms.recognised(galaxy_zip.parent, Options())
    options = Options(label_column="gz2_class")
    assert forms.recognised(galaxy_zip.parent, options) == "galaxy_zoo"
    listing = galaxy_zoo.listing(galaxy_zip.parent, options)
    assert {i: name for i, (name, _, _) in rows(listing).items()} == {
        "5": "Sb",
        "6": "Er",
        "8": "Sb",
    }
    assert [name for name, _ in listing.problems] == [str(ids[3])]
    assert any("is looked up in gz2_filename_mapping.csv" in note for note in listing.notes)


def test_galaxy_zoo_of_ids_that_pandas_made_fractions(galaxy_zip):
    path = galaxy_zip.parent / "gz2_valid.csv"
    path.write_text("galaxyID,label1\n8.0,0\n")
    listing = galaxy_zoo.listing(galaxy_zip, Options())
    assert "8" in listing.ids
    assert "gz2_valid.csv: 1 ids such as 5.0 are read as whole numbers" in listing.notes


def test_traps_in_an_archive(galaxy_zip):
    with zipfile.ZipFile(galaxy_zip, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../7.jpg", "x")
        archive.writestr("images/700.jpg", b"\0" * 10_000_000)
        archive.writestr("elsewhere/5.jpg", "x")
    problems = dict(galaxy_zoo.listing(galaxy_zip, Options()).problems)
    assert problems["../../7.jpg"] == "leaves the folder of the archive"
    assert "a zip bomb" in problems["images/700.jpg"]
    assert problems["elsewhere/5.jpg"] == "a second image of the name 5"


def test_damage_in_an_archive_is_named_by_image(galaxy_zip):
    with zipfile.ZipFile(galaxy_zip, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("images/5.jpg", "galaxy 5")
    galaxy_zip.write_bytes(galaxy_zip.read_bytes().replace(b"galaxy 5", b"galaxy x"))
    with pytest.raises(OSError, match="damaged in the archive"):
        galaxy_zoo.listing(galaxy_zip, Options()).read(0)


def test_galaxy_zoo_mistakes(tmp_path):
    (tmp_path / "x.zip").write_bytes(b"PK")
    said = mistake(galaxy_zoo, tmp_path / "x.zip")
    assert "neither a folder nor a zip archive" in said
    assert "no gz2_train.csv and so on" in said


# arrays


def decoded(png: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(png)) as image:
        return np.asarray(image)


@pytest.mark.parametrize(
    ("shape", "seen"),
    [
        ((4, 5, 6), (5, 6)),
        ((4, 36), (6, 6)),
        ((4, 5, 6, 1), (5, 6)),
        ((4, 5, 6, 3), (5, 6, 3)),
        ((4, 3, 5, 6), (5, 6, 3)),
    ],
)
def test_arrays_of_every_shape(tmp_path, shape, seen):
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    np.savez_compressed(tmp_path / "x.npz", images=pixels, labels=[0, 1, 1, 0])
    listing = arrays.listing(tmp_path / "x.npz", Options())
    assert listing.labels.tolist() == [0, 1, 1, 0]
    assert decoded(listing.read(2)).shape == seen
    wanted = pixels[2].transpose(1, 2, 0) if shape[1] == 3 else pixels[2].reshape(seen)
    np.testing.assert_array_equal(decoded(listing.read(2)), wanted)
    assert not listing.notes


@pytest.mark.parametrize("peak", [1, 16, 1_023, 4_095, 16_383, 65_535])
def test_pixels_that_are_no_bytes_are_stretched(peak):
    pixels = np.linspace(0, peak, 32).reshape(2, 4, 4)
    listing = from_arrays({"data": pixels, "target": ["b", "a"]})
    assert listing.classes == ("a", "b")
    wanted = (pixels[1] / peak * 255).round()
    np.testing.assert_array_equal(decoded(listing.read(1)), wanted)
    option = " (--bits gives another range)" if peak > 255 else ""
    assert listing.notes == [f"pixels are stretched from 0..{peak:,} to 0..255{option}"]


def test_the_range_of_pixels_may_be_said():
    pixels = np.linspace(0, 900, 32).reshape(2, 4, 4)
    listing = from_arrays({"data": pixels, "target": ["b", "a"]}, bits=12)
    np.testing.assert_array_equal(decoded(listing.read(1)), (pixels[1] / 4095 * 255).round())
    with pytest.raises(DataError, match=r"pixels from 0 to 900; bring them to one of: 0\.\.511"):
        from_arrays({"data": pixels, "target": ["b", "a"]}, bits=9)


def test_a_bunch_of_scikit_learn():
    from sklearn.datasets import load_digits

    digits = load_digits()
    listing = from_arrays(digits)
    assert listing.classes == tuple("0123456789")
    assert listing.labels.tolist() == digits.target.tolist()
    assert decoded(listing.read(1796)).shape == (8, 8)
    assert listing.ids[7] == "000007"


def test_arrays_with_splits_in_a_folder_are_mapped(tmp_path):
    for split, count in {"train": 3, "val": 2, "test": 1}.items():
        images = np.full((count, 4, 4), len(split), np.uint8)
        np.save(tmp_path / f"{split}_images.npy", images)
        np.save(tmp_path / f"{split}_labels.npy", np.arange(count)[:, None])
    np.save(tmp_path / "classes.npy", np.array(["x", "y", "z"]))
    listing = arrays.listing(tmp_path, Options())
    assert listing.classes == ("x", "y", "z")
    assert listing.ids == [
        *("train-000000", "train-000001", "train-000002"),
        *("valid-000000", "valid-000001"),
        "test-000000",
    ]
    assert [decoded(listing.read(i))[0, 0] for i in range(6)] == [5, 5, 5, 3, 3, 4]
    assert listing.labels.tolist() == [0, 1, 2, 0, 1, 0]


def test_array_mistakes(tmp_path):
    images = np.zeros((3, 4, 4), np.uint8)

    def said(**named) -> str:
        np.savez(tmp_path / "x.npz", **named)
        return mistake(arrays, tmp_path / "x.npz")

    assert "no labels; name their array one of: labels" in said(images=images)
    assert "no images (images, image, data, x) among: z" in said(z=images)
    assert "3 images and 2 labels" in said(images=images, labels=[0, 1])
    assert "images are shaped (3, 5); wanted" in said(x=np.zeros((3, 5)), y=[0] * 3)
    assert "labels are float64" in said(x=images, y=[0.0, 1.0, 2.0])
    assert "pixels from -1 to 0" in said(x=images.astype(float) - np.eye(4), y=[0, 1, 0])
    assert "no number or infinite" in said(x=images * np.nan, y=[0, 1, 0])
    assert "pixels from 0 to 70000" in said(x=np.eye(4)[None] * 70_000, y=[0])
    assert "labels of no given class: 2" in said(x=images, y=[0, 1, 2], classes=["a", "b"])
    (tmp_path / "x.npz").write_bytes(b"no archive")
    assert "not readable" in mistake(arrays, tmp_path / "x.npz")


def test_arrays_run_no_code(tmp_path):
    np.savez(tmp_path / "x.npz", images=np.array([{}, {}], object), labels=[0, 1])
    assert "not readable (Object arrays cannot be loaded" in mistake(arrays, tmp_path / "x.npz")


# which form it is


def sources(tmp_path: Path) -> dict[str, Path]:
    made = {name: tmp_path / name for name in ("folder", "table", "huggingface", "arrays")}
    put(made["folder"], "a/1.jpg", "b/1.jpg", "b/2.jpg")
    put(made["table"], "1.jpg")
    (made["table"] / "labels.csv").write_text("id,label\n1,a\n")
    shard(made["huggingface"] / "train.parquet", images_of("a"), [0])
    made["arrays"].mkdir()
    np.save(made["arrays"] / "x.npy", np.zeros((2, 4, 4)))
    np.save(made["arrays"] / "y.npy", [0, 1])
    return made


def test_forms_are_recognised(tmp_path, galaxy_zip):
    for name, source in {**sources(tmp_path), "galaxy_zoo": galaxy_zip}.items():
        assert forms.recognised(source, Options()) == name
    put(galaxy_zip.parent, "images/1.jpg")
    assert forms.recognised(galaxy_zip.parent / "images_gz2.zip", Options()) == "galaxy_zoo"


def test_a_source_of_no_form_is_told_all_of_them(tmp_path):
    with pytest.raises(UnknownFormError) as caught:
        forms.recognised(tmp_path, Options())
    said = str(caught.value)
    assert f"{tmp_path}: of none of the known forms" in said
    for name in forms.names():
        assert f"  {name}: " in said


def test_a_source_of_two_forms_is_asked_about(tmp_path):
    source = sources(tmp_path)["folder"]
    (source / "labels.csv").write_text("id,label\n1,a\n")
    with pytest.raises(UnknownFormError, match=r"could be folder or table; say which with --form"):
        forms.recognised(source, Options())


def test_a_home_in_the_source_is_no_part_of_it(tmp_path):
    """Data sets that were imported into it, and pictures of reports, are not images to import."""
    source = sources(tmp_path)["folder"]
    options = Options(leave=(source / "sweeps",))
    before = folder.listing(source, options)
    put(source, "sweeps/report/plot.png", "sweeps/data/x/train-00000-of-00001.parquet")
    assert forms.recognised(source, options) == "folder"
    after = folder.listing(source, options)
    assert (after.classes, after.ids) == (before.classes, before.ids)
    (source / "labels.csv").write_text("id,label\na/1,x\nb/1,y\n")
    assert "sweeps/report/plot.png" not in table.listing(source, options).ids
    assert table.listing(source, options).notes == ["1 images that no row names are left out"]


def test_every_form_says_what_it_expects():
    assert {"arrays", "folder", "galaxy_zoo", "huggingface", "table"} <= set(forms.names())
    for name in forms.names():
        first = (forms.load(name).__doc__ or "").splitlines()[0]
        assert 40 < len(first) <= 100
        assert first.endswith(".")
    with pytest.raises(UnknownFormError, match=r"'folders' \(did you mean 'folder'\?\)"):
        forms.load("folders")
