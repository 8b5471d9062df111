"""Which folders are splits and which are classes, by what people call them and put in them."""

from pathlib import Path

import pytest

from trainables.data import DataError
from trainables.data.importing import forms
from trainables.data.importing.forms import Options, folder
from trainables.data.importing.splitting import SPLITS, TEST, TRAIN, VALID, split_within


def put(root: Path, *paths: str) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(path.encode())
    return root


def read(source: Path, **options) -> dict[str, tuple[str, str | None]]:
    """(class, split) of each image, of a source that is recognised as folders."""
    asked = Options(**options)
    assert forms.recognised(source, asked) == "folder"
    found = folder.listing(source, asked)
    return {
        path: (found.classes[label], SPLITS[split] if split >= 0 else None)
        for path, label, split in zip(found.ids, found.labels, found.splits, strict=True)
    }


def notes(source: Path) -> str:
    return "\n".join(folder.listing(source, Options()).notes)


@pytest.mark.parametrize(
    ("name", "around", "split"),
    [
        ("train", "*", TRAIN),
        ("Training", "*", TRAIN),
        ("test_images", "*", TEST),
        ("trainset", "*", TRAIN),
        ("val2017", "*", VALID),
        ("images-test", "*", TEST),
        ("validation set", "*", VALID),
        ("seg_train", "seg_*", TRAIN),
        ("birds-test", "birds_*", TEST),
        ("train_station", "*_station", TRAIN),
    ],
)
def test_splits_in_names(name, around, split):
    assert split_within(name) == (around, split)


@pytest.mark.parametrize("name", ["trainer", "strain", "contest", "devil", "cat", "train_test", ""])
def test_names_that_mean_no_split(name):
    assert split_within(name) is None


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("seg_train/seg_train", "seg_test/seg_test"),
        ("seg_train", "seg_test"),
        ("Training_set", "Test_set"),
        ("train2017", "test2017"),
        ("birds-train/images", "birds-test/images"),
        ("train/train", "test"),
        ("train", "test_images"),
    ],
)
def test_splits_of_other_names(tmp_path, train, test):
    put(tmp_path, f"{train}/a/1.jpg", f"{train}/b/1.jpg", f"{test}/a/2.jpg", f"{test}/b/2.jpg")
    assert read(tmp_path) == {
        f"{train}/a/1.jpg": ("a", "train"),
        f"{train}/b/1.jpg": ("b", "train"),
        f"{test}/a/2.jpg": ("a", "test"),
        f"{test}/b/2.jpg": ("b", "test"),
    }


def test_images_without_labels_beside_the_splits(tmp_path):
    labelled = [f"seg_{s}/seg_{s}/{c}/{s}.jpg" for s in ("train", "test") for c in "ab"]
    put(tmp_path, *labelled, "seg_pred/seg_pred/1.jpg", "models/weights.bin")
    assert set(read(tmp_path)) == set(labelled)
    said = notes(tmp_path)
    assert "seg_pred/seg_pred: 1 images in no folder of a class: they have no labels" in said
    assert "models holds no image and is left out" in said
    assert "seg_train/seg_train as train" in said


@pytest.mark.parametrize("test", ["test", "test/test", "test/images", "Testing"])
def test_a_flat_test_beside_a_labelled_train(tmp_path, test):
    put(tmp_path, "train/a/1.jpg", "train/b/1.jpg", f"{test}/1.jpg", f"{test}/2.jpg")
    assert set(read(tmp_path).values()) == {("a", "train"), ("b", "train")}
    assert f"{tmp_path / test}: 2 images in no folder of a class" in notes(tmp_path)


def test_classes_called_after_splits(tmp_path):
    put(tmp_path / "1", "bus/1.jpg", "car/1.jpg", "train/1.jpg")
    assert {name for name, _ in read(tmp_path / "1").values()} == {"bus", "car", "train"}
    assert "train is taken for a class" in notes(tmp_path / "1")
    put(tmp_path / "2", "train_station/1.jpg", "test_tube/1.jpg")
    assert {name for name, _ in read(tmp_path / "2").values()} == {"train_station", "test_tube"}
    put(tmp_path / "3", "train/a/1.jpg", "bus/a/1.jpg")
    with pytest.raises(DataError, match="train are splits and bus are not"):
        folder.listing(tmp_path / "3", Options())
    assert len(read(tmp_path / "3", classes=("train", "bus"))) == 2
    put(tmp_path / "4", *(f"{split}/{name}/1.jpg" for split in ("train", "test") for name in "ab"))
    put(tmp_path / "4", "train/train/1.jpg", "test/train/1.jpg")
    assert {name for name, _ in read(tmp_path / "4").values()} == {"a", "b", "train"}


def test_splits_without_classes_are_no_classes(tmp_path):
    for names in (("train", "test"), ("seg_train", "seg_test"), ("train", "val", "test")):
        source = put(tmp_path / "-".join(names), *(f"{name}/1.jpg" for name in names))
        with pytest.raises(forms.UnknownFormError, match="or give a table of labels with --labels"):
            forms.recognised(source, Options())
    put(tmp_path / "mixed", "train/1.jpg", "test/1.jpg", "bird/1.jpg")
    with pytest.raises(DataError, match="test, train are splits and bird are not"):
        folder.listing(tmp_path / "mixed", Options())


def test_a_folder_around_it_all(tmp_path):
    put(tmp_path, "archive/birds/a/1.jpg", "archive/birds/b/1.jpg", "archive/README.txt")
    assert set(read(tmp_path)) == {"archive/birds/a/1.jpg", "archive/birds/b/1.jpg"}
    assert "holds one folder, archive, which is read" in notes(tmp_path)


def test_an_empty_class_is_no_reason(tmp_path):
    put(tmp_path, "b/1.jpg", "c/1.jpg")
    (tmp_path / "a").mkdir()
    assert len(read(tmp_path)) == 2
