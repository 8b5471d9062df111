"""Published data sets: facts, and listings of small made-up copies in their forms on disk."""

import json
import re

import numpy as np
import pytest
from rich.console import Console

from trainables.data import SPLITS, DataError
from trainables.data.importing import forms, published_sets
from trainables.data.importing.forms import Options
from trainables.data.importing.mat_file import read_mat
from trainables.data.importing.published_sets import PUBLISHED
from trainables.data.importing.unpacked import Paths

TENCH, COCK, HEN = "n01440764", "n01514668", "n01514859"


def put(root, *paths, content=b"image"):
    for path in paths:
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content + path.encode() if content == b"image" else content)


def text(root, path, *lines):
    put(root, path, content="".join(f"{line}\n" for line in lines).encode())


def savemat(path, compressed=True, **variables):
    path.parent.mkdir(parents=True, exist_ok=True)
    pytest.importorskip("scipy.io").savemat(path, variables, do_compression=compressed)


def listed(form, root, **options):
    """{id: (name of the class, split or None)} and the listing itself; images can be read."""
    listing = forms.load(form).listing(root, Options(**options))
    assert len(listing.ids) == len(listing.labels) == len(listing.splits)
    assert (listing.labels.dtype, listing.splits.dtype) == (np.int64, np.int8)
    for index, name in enumerate(listing.ids):
        assert listing.read(index) == (root / name).read_bytes()
    split = {-1: None, **dict(enumerate(SPLITS))}
    rows = zip(listing.ids, listing.labels, listing.splits, strict=True)
    return {i: (listing.classes[label], split[s]) for i, label, s in rows}, listing


def mistakes(form, root, *patterns, **options):
    with pytest.raises(DataError) as caught:
        forms.load(form).listing(root, Options(**options))
    found = caught.value.mistakes
    assert len(found) == len(patterns), found
    for pattern, problem in zip(patterns, found, strict=True):
        assert re.search(pattern, problem), found


def test_every_published_set_has_a_form_and_whole_facts():
    assert set(PUBLISHED) <= set(forms.names())
    for name, known in PUBLISHED.items():
        assert known.test_from in known.images
        assert known.test_from not in known.unlabelled
        empty = {field for field in ("native_size", "licence") if getattr(known, field) is None}
        assert empty == set(known.unknown), name
        assert published_sets.about(name).source


def test_counts_agree_with_each_other():
    images = {name: known.images for name, known in PUBLISHED.items()}
    assert images["imagenet"]["valid"] == 50 * PUBLISHED["imagenet"].classes
    assert images["imagenet21k"]["valid"] == 50 * PUBLISHED["imagenet21k"].classes
    assert images["places365"]["valid"] == 100 * PUBLISHED["places365"].classes
    assert images["places365"]["test"] == 900 * PUBLISHED["places365"].classes
    assert images["flowers102"]["train"] == 10 * PUBLISHED["flowers102"].classes
    assert sum(images["flowers102"].values()) == 8189
    assert sum(images["stanford_cars"].values()) == 16_185


def test_table_names_every_set_and_its_command():
    console = Console(width=600)
    with console.capture() as capture:
        console.print(published_sets.shown())
    shown = capture.get()
    for name, known in PUBLISHED.items():
        for said in (known.title, known.home, published_sets.command(name), f"{known.classes:,}"):
            assert said in shown
    assert "1,281,167 train" in shown
    assert "100,000 test without labels" in shown


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_whole_set_differs_in_nothing_and_a_subset_is_said_to_be_one(name):
    known = PUBLISHED[name]
    test = np.full(known.images[known.test_from], 2, np.int8)
    rest = np.full(known.images["train"], -1, np.int8)
    valid = [np.ones(1020, np.int8)] if name == "flowers102" else []
    said = published_sets.notes(name, known.classes, np.concatenate([rest, *valid, test]))
    assert not any("not comparable" in note for note in said)
    assert any("cut from train" in note for note in said) == (name != "flowers102")
    *_, said = published_sets.notes(name, 7, np.array([-1, -1, 2], np.int8))
    for part in ("7 classes, not ", "2 training images, not ", "1 test images, not "):
        assert part in said


@pytest.fixture
def imagenet(tmp_path):
    put(tmp_path, f"train/{TENCH}/{TENCH}_2.JPEG", f"train/{TENCH}/{TENCH}_10.JPEG")
    put(tmp_path, f"train/{COCK}/{COCK}_1.JPEG")
    text(tmp_path, "LOC_synset_mapping.txt", f"{TENCH} tench, Tinca tinca", f"{COCK} cock")
    return tmp_path


FLAT = [f"val/ILSVRC2012_val_0000000{number}.JPEG" for number in (1, 2, 4)]
FLAT_LISTED = dict(zip(FLAT, [("cock", "test"), ("tench", "test"), ("tench", "test")], strict=True))


def check_flat(root, **options):
    found, listing = listed("imagenet", root, **options)
    assert not listing.problems
    assert forms.recognised(root, Options()) == "imagenet"
    classes = {f"{TENCH} tench": "tench", f"{COCK} cock": "cock"}
    val = {path: (classes[c], s) for path, (c, s) in found.items() if path.startswith("val/")}
    assert val == FLAT_LISTED


def test_imagenet_in_folders(imagenet):
    put(imagenet, f"val/{COCK}/ILSVRC2012_val_00000001.JPEG")
    put(imagenet, f"val/{TENCH}/ILSVRC2012_val_00000002.JPEG", f"val/{TENCH}/notes.txt")
    put(imagenet, "train/loose.JPEG")
    found, listing = listed("imagenet", imagenet)
    assert list(found.items()) == [
        (f"train/{TENCH}/{TENCH}_10.JPEG", (f"{TENCH} tench", None)),
        (f"train/{TENCH}/{TENCH}_2.JPEG", (f"{TENCH} tench", None)),
        (f"train/{COCK}/{COCK}_1.JPEG", (f"{COCK} cock", None)),
        (f"val/{TENCH}/ILSVRC2012_val_00000002.JPEG", (f"{TENCH} tench", "test")),
        (f"val/{COCK}/ILSVRC2012_val_00000001.JPEG", (f"{COCK} cock", "test")),
    ]
    assert [name for name, _ in listing.problems] == ["train/loose.JPEG"]
    assert listing.notes[-1] == "files without the suffix of an image are left out: 1 .txt"
    assert "validation set is test" in listing.notes[0]
    assert "2 classes, not 1,000; 3 training images, not 1,281,167" in listing.notes[1]
    assert listing.about.symmetries.horizontal_flip
    assert forms.recognised(imagenet, Options()) == "imagenet"


def test_imagenet_flat_with_the_devkit(imagenet):
    put(imagenet, *FLAT)
    synsets = np.array(
        [(1, COCK, "cock"), (2, TENCH, "tench"), (1001, "n00001740", "entity")],
        [("ILSVRC2012_ID", object), ("WNID", object), ("words", object)],
    )
    devkit = "ILSVRC2012_devkit_t12/data"
    text(imagenet, f"{devkit}/ILSVRC2012_validation_ground_truth.txt", 1, 2, 1, 2)
    mistakes("imagenet", imagenet, "explained in meta.mat; put meta.mat")
    savemat(imagenet / devkit / "meta.mat", synsets=synsets)
    check_flat(imagenet)


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("imagenet_2012_validation_synset_labels.txt", [COCK, TENCH, COCK, TENCH]),
        (
            "LOC_val_solution.csv",
            [
                "ImageId,PredictionString",
                f"ILSVRC2012_val_00000004,{TENCH} 1 2 3 4 {TENCH} 5 6 7 8",
                f"ILSVRC2012_val_00000002,{TENCH} 1 2 3 4",
                f"ILSVRC2012_val_00000001,{COCK} 1 2 3 4",
            ],
        ),
        (
            "val_labels.txt",
            [f"{p.removeprefix('val/')} {COCK if '1.' in p else TENCH}" for p in FLAT],
        ),
    ],
)
def test_imagenet_flat_with_labels_in_a_text(imagenet, name, lines):
    put(imagenet, *FLAT)
    text(imagenet, name, *lines)
    check_flat(imagenet)
    (imagenet / name).rename(imagenet / "mine.txt")
    mistakes("imagenet", imagenet, "no labels of val.*LOC_val_solution.csv.*--labels")
    check_flat(imagenet, labels=(imagenet / "mine.txt",))


def test_imagenet_as_kaggle_packs_it(imagenet):
    inside = imagenet / "ILSVRC/Data/CLS-LOC"
    inside.mkdir(parents=True)
    (imagenet / "train").rename(inside / "train")
    put(imagenet, "ILSVRC/Data/CLS-LOC/val/ILSVRC2012_val_00000002.JPEG")
    text(
        imagenet,
        "LOC_val_solution.csv",
        "ImageId,PredictionString",
        f"ILSVRC2012_val_00000002,{COCK}",
    )
    found, _ = listed("imagenet", imagenet)
    assert found["ILSVRC/Data/CLS-LOC/val/ILSVRC2012_val_00000002.JPEG"] == (f"{COCK} cock", "test")
    assert len(found) == 4


def test_imagenet_problems_of_flat_images(imagenet):
    put(imagenet, *FLAT, "val/other.JPEG")
    text(imagenet, "val_labels.txt", TENCH, HEN)
    _, listing = listed("imagenet", imagenet)
    assert [(name, reason.split(";")[0]) for name, reason in listing.problems] == [
        (FLAT[1], f"train has no class {HEN}"),
        (FLAT[2], "no label is given for it"),
        ("val/other.JPEG", "no label is given for it"),
    ]


def test_imagenet_that_is_not_whole(tmp_path, imagenet):
    mistakes(
        "imagenet", imagenet / "nowhere", "no such folder.*train/WNID", "no such folder.*val", "."
    )
    empty = tmp_path / "packed"
    put(empty, "ILSVRC2012_img_train.tar")
    text(empty, "val_labels.txt", TENCH)
    mistakes(
        "imagenet",
        empty,
        r"no folder train/WNID .*it holds ILSVRC2012_img_train.tar, val_labels.txt \(unpack",
        "no folder val; it holds",
    )
    text(imagenet, "val_labels.txt", "tench", TENCH, "7 cocks")
    (imagenet / "val").mkdir()
    mistakes("imagenet", imagenet, "line 1: 'tench' is no WNID", "line 3: 'cocks' is no WNID")
    text(imagenet, "val_labels.txt", TENCH)
    mistakes("imagenet", imagenet, "val: empty")
    put(imagenet, f"val/{HEN}/a.JPEG")
    (imagenet / "train" / HEN).mkdir()
    mistakes("imagenet", imagenet, f"train/{HEN}: empty")
    (imagenet / "train" / HEN).rmdir()
    mistakes("imagenet", imagenet, f"val/{HEN}: none of the classes of train")


def test_links_out_of_the_source_are_followed_and_told(tmp_path, imagenet):
    source = tmp_path / "linked"
    put(source, f"val/{TENCH}/a.JPEG", f"train/{TENCH}/b.JPEG")
    (source / f"train/{TENCH}/c.JPEG").symlink_to(imagenet / f"train/{COCK}/{COCK}_1.JPEG")
    (source / f"train/{COCK}").symlink_to(imagenet / f"train/{COCK}")
    (source / f"train/{TENCH}/d.JPEG").symlink_to("nowhere")
    found, listing = listed("imagenet", source)
    assert set(found) == {
        f"val/{TENCH}/a.JPEG",
        f"train/{TENCH}/b.JPEG",
        f"train/{TENCH}/c.JPEG",
        f"train/{COCK}/{COCK}_1.JPEG",
    }
    linked = listing.ids.index(f"train/{COCK}/{COCK}_1.JPEG")
    assert listing.read(linked) == (imagenet / listing.ids[linked]).read_bytes()
    assert [name for name, _ in listing.problems] == [f"train/{TENCH}/d.JPEG"]
    assert any("2 links are followed: " in note for note in listing.notes)
    (source / "train").rename(source / "old")
    (source / "train").symlink_to(imagenet / "train")
    _, listing = listed("imagenet", source)
    assert [listing.read(index) for index in range(len(listing.ids))]
    assert f"a link is followed: train leads to {imagenet / 'train'}" in listing.notes


def test_places365_of_linked_folders(tmp_path, places):
    """As they are where a data set is on another disk."""
    source = tmp_path / "linked"
    source.mkdir()
    for path in places.iterdir():
        (source / path.name).symlink_to(path)
    _, there = listed("places365", places)
    _, listing = listed("places365", source)
    assert list(listing.ids) == list(there.ids)
    for index in range(len(listing.ids)):
        assert _bytes(listing, index) == _bytes(there, index)


def _bytes(listing, index: int) -> bytes | str:
    try:
        return listing.read(index)
    except FileNotFoundError:
        return "missing"


def test_imagenet21k_p_and_the_whole(tmp_path):
    train, val = "imagenet21k_train", "imagenet21k_val"
    put(tmp_path, f"{train}/{TENCH}/b.JPEG", f"{train}/{COCK}/a.JPEG", f"{val}/{TENCH}/a.JPEG")
    put(tmp_path, f"imagenet21k_small_classes/{HEN}/a.JPEG")
    text(tmp_path, "classes.txt", f"{COCK}, cock", "hen")
    text(tmp_path, "words.txt", f"{COCK}\trooster, cock", f"{HEN}\then")
    found, listing = listed("imagenet21k", tmp_path)
    assert found == {
        f"{train}/{TENCH}/b.JPEG": (TENCH, None),
        f"{train}/{COCK}/a.JPEG": (f"{COCK} cock", None),
        f"{val}/{TENCH}/a.JPEG": (TENCH, "test"),
    }
    assert "2 classes, not 10,450" in listing.notes[1]
    found, listing = listed("imagenet21k", tmp_path / train)
    assert found == {f"{TENCH}/b.JPEG": (TENCH, None), f"{COCK}/a.JPEG": (COCK, None)}
    (tmp_path / val).rename(tmp_path / "val")
    mistakes(
        "imagenet21k", tmp_path, f"no folder {val}/WNID.*it holds classes.txt, .*val, words.txt"
    )
    mistakes("imagenet21k", tmp_path / "val" / TENCH, f"no folder {train}", f"no folder {val}")


def test_paths_are_a_sequence():
    paths = Paths()
    given = ["a/b/1.jpg", "a/b/2.jpg", "top.jpg", "a/c/ä.jpg", "a/b/3.jpg"]
    for path in given:
        paths.append(path)
    with pytest.raises(UnicodeEncodeError):
        paths.append("a/b/\udcff.jpg")
    assert list(paths) == given == paths[:]
    assert (paths[-1], paths[np.int64(3)], paths[1:4:2]) == (given[-1], given[3], given[1:4:2])
    with pytest.raises(IndexError):
        paths[5]


CARS = ("AM General Hummer SUV 2000", "Acura RL Sedan 2012", "Ram C/V Cargo Van Minivan 2012")
FIELDS = ("bbox_x1", "bbox_y1", "class", "fname")


def annotations(*rows, fields=FIELDS):
    values = [(39.0, 116, *row)[: len(fields)] for row in rows]
    return np.array([values], [(field, object) for field in fields])


@pytest.fixture(params=["devkit", "."])
def cars(tmp_path, request):
    put(tmp_path, "cars_train/00001.jpg", "cars_train/00002.jpg", "cars_test/00001.jpg")
    devkit = tmp_path / "devkit"
    savemat(devkit / "cars_meta.mat", class_names=np.array([CARS], object))
    savemat(
        devkit / "cars_train_annos.mat", annotations=annotations((3, "00001.jpg"), (1, "00002.jpg"))
    )
    savemat(
        tmp_path / request.param / "cars_test_annos_withlabels.mat",
        compressed=False,
        annotations=annotations((2, "00001.jpg")),
    )
    return tmp_path


def test_stanford_cars(cars):
    found, listing = listed("stanford_cars", cars)
    assert listing.classes == CARS
    assert not listing.problems
    assert found == {
        "cars_train/00001.jpg": (CARS[2], None),
        "cars_train/00002.jpg": (CARS[0], None),
        "cars_test/00001.jpg": (CARS[1], "test"),
    }
    assert listing.about.licence is None
    assert forms.recognised(cars, Options()) == "stanford_cars"


def test_stanford_cars_problems_of_images(cars):
    put(cars, "cars_train/00009.jpg")
    rows = [
        (3, "00001.jpg"),
        (4, "00002.jpg"),
        (1.5, "3.jpg"),
        (1, "../cars_test/00001.jpg"),
        (1, 7),
    ]
    savemat(cars / "devkit/cars_train_annos.mat", annotations=annotations(*rows))
    found, listing = listed("stanford_cars", cars)
    assert set(found) == {"cars_train/00001.jpg", "cars_test/00001.jpg"}
    assert [name for name, _ in listing.problems] == [
        "cars_train/00002.jpg",
        "cars_train/3.jpg",
        "cars_train_annos.mat, row 4",
        "cars_train_annos.mat, row 5",
        "cars_train/00009.jpg",
    ]
    assert "says class 4; wanted: 1 to 3" in listing.problems[0][1]


def test_stanford_cars_that_are_not_whole(cars):
    for path in cars.rglob("cars_test_annos_withlabels.mat"):
        path.unlink()
    (cars / "cars_test/00001.jpg").unlink()
    (cars / "cars_test").rmdir()
    mistakes(
        "stanford_cars",
        cars,
        "no cars_test_annos_withlabels.mat, nor devkit/.*it holds cars_train, devkit; .*own,",
        "no folder cars_test;",
    )
    mistakes("stanford_cars", cars / "cars_train", *["car_devkit"] * 2, "of its own", *["tgz"] * 2)
    put(cars, "cars_test/00001.jpg")
    savemat(cars / "cars_test_annos_withlabels.mat", other=np.ones(3))
    savemat(cars / "devkit/cars_train_annos.mat", annotations=np.ones(3))
    mistakes(
        "stanford_cars", cars, "'annotations' is no list", "no variable annotations; it has: other"
    )


@pytest.fixture
def flowers(tmp_path):
    put(tmp_path, *(f"jpg/image_0000{number}.jpg" for number in range(1, 7)))
    savemat(tmp_path / "imagelabels.mat", labels=np.array([[2, 2, 1, 1, 2, 1]], np.uint8))
    savemat(tmp_path / "setid.mat", trnid=[[1, 4]], valid=[[2, 3]], tstid=np.array([[6.0, 5.0]]))
    return tmp_path


def test_flowers102(flowers):
    found, listing = listed("flowers102", flowers)
    assert not listing.problems
    assert found == {
        "jpg/image_00001.jpg": ("2", "train"),
        "jpg/image_00004.jpg": ("1", "train"),
        "jpg/image_00002.jpg": ("2", "valid"),
        "jpg/image_00003.jpg": ("1", "valid"),
        "jpg/image_00006.jpg": ("1", "test"),
        "jpg/image_00005.jpg": ("2", "test"),
    }
    assert "2 validation images, not 1,020" in listing.notes[0]
    assert forms.recognised(flowers, Options()) == "flowers102"


def test_flowers102_names(flowers):
    text(flowers, "labels.txt", "'pink primrose',", "hard-leaved pocket orchid")
    assert listed("flowers102", flowers)[1].classes == (
        "pink primrose",
        "hard-leaved pocket orchid",
    )
    text(flowers, "cat_to_name.json", json.dumps({"2": "canterbury bells", "1": "sweet pea"}))
    assert listed("flowers102", flowers)[1].classes == ("sweet pea", "canterbury bells")
    assert listed("flowers102", flowers, classes=("a", "b"))[1].classes == ("a", "b")
    mistakes("flowers102", flowers, "1 names of classes, imagelabels.mat has 2", classes=("a",))
    for wrong in ('{"1": "rose"}', '{"1": "rose", "2": "rose"}', '["rose", "tulip"]', '{"1": '):
        text(flowers, "cat_to_name.json", wrong)
        mistakes("flowers102", flowers, "cat_to_name.json: (wanted 2 different names|no JSON)")


def test_flowers102_problems_of_images(flowers):
    savemat(flowers / "setid.mat", trnid=[[1, 4]], valid=[[2, 4]], tstid=[[6, 7]])
    found, listing = listed("flowers102", flowers)
    assert {name[-5] for name in found} == set("1426")
    assert [(name[-5], reason.split(";")[0]) for name, reason in listing.problems] == [
        ("4", "in trnid and again in valid of setid.mat"),
        ("7", "imagelabels.mat ends at 6"),
        ("3", "in no split of setid.mat"),
        ("5", "in no split of setid.mat"),
    ]


def test_flowers102_that_are_not_whole(flowers):
    mistakes(
        "flowers102", flowers / "jpg", "imagelabels.mat", "setid.mat", "no folder jpg; it holds"
    )
    savemat(flowers / "setid.mat", trnid=[[0, 4]], valid=[[2.5]], tstid=[[6]])
    mistakes("flowers102", flowers, "trnid should be whole numbers", "valid should be whole")
    savemat(flowers / "setid.mat", trnid=[[1]])
    mistakes("flowers102", flowers, "no variable valid and no tstid; it has: trnid")
    put(flowers, "setid.mat", content=b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM" + b"HDF")
    mistakes("flowers102", flowers, "setid.mat: no MATLAB file of level 5.*-v7")


@pytest.fixture
def places(tmp_path):
    put(tmp_path, "data_256/a/abbey/00000001.jpg", "data_256/a/arena/hockey/00000002.jpg")
    put(tmp_path, "val_256/Places365_val_00000001.jpg")
    text(tmp_path, "categories_places365.txt", "/a/abbey 0", "/a/arena/hockey 1")
    train = "/a/abbey/00000001.jpg 0", "/a/arena/hockey/00000002.jpg 1"
    text(tmp_path, "places365_train_standard.txt", *train)
    text(tmp_path, "places365_val.txt", "Places365_val_00000001.jpg 1")
    return tmp_path


def test_places365_by_its_lists(places):
    expected = {
        "data_256/a/abbey/00000001.jpg": ("abbey", None),
        "data_256/a/arena/hockey/00000002.jpg": ("arena/hockey", None),
        "val_256/Places365_val_00000001.jpg": ("arena/hockey", "test"),
    }
    found, listing = listed("places365", places)
    assert found == expected
    assert not listing.problems
    assert "2 classes, not 365" in listing.notes[1]
    assert forms.recognised(places, Options()) == "places365"
    (places / "filelist_places365-standard").mkdir()
    for path in places.glob("*.txt"):
        path.rename(places / "filelist_places365-standard" / path.name)
    assert listed("places365", places)[0] == expected


def test_places365_problems_of_images(places):
    lines = "/a/abbey/00000001.jpg 2", "/a/../../x.jpg 1", "nonsense", "/a/abbey/00000001.jpg 0"
    text(places, "places365_train_standard.txt", *lines)
    found, listing = listed("places365", places)
    assert list(found.values()) == [("abbey", None), ("arena/hockey", "test")]
    assert [name for name, _ in listing.problems] == [
        f"places365_train_standard.txt, line {row}" for row in (1, 2, 3)
    ]
    assert "leads outside" in listing.problems[1][1]


def test_places365_in_class_folders(tmp_path):
    put(tmp_path, "train/abbey/1.jpg", "train/arena-hockey/2.jpg", "val/abbey/3.jpg")
    found, _ = listed("places365", tmp_path)
    assert found == {
        "train/abbey/1.jpg": ("abbey", None),
        "train/arena-hockey/2.jpg": ("arena-hockey", None),
        "val/abbey/3.jpg": ("abbey", "test"),
    }
    put(tmp_path, "val/zoo/4.jpg")
    mistakes("places365", tmp_path, "val/zoo: none of the classes of train")
    (tmp_path / "val").rename(tmp_path / "test")
    mistakes("places365", tmp_path, "no val/CLASS; it holds test, train; unpack")


def test_places365_that_is_not_whole(places):
    for name in ("categories_places365.txt", "places365_val.txt"):
        (places / name).unlink()
    (places / "val_256").rename(places / "validation")
    (places / "data_large").mkdir()
    mistakes(
        "places365",
        places,
        "no categories_places365.txt; it holds data_256, data_large, places365_train_standard.txt",
        "no places365_val.txt",
        "holds data_256 and data_large; leave one",
        "no folder val_256 or val_large",
    )
    (places / "validation").rename(places / "val_256")
    (places / "data_large").rmdir()
    text(places, "places365_val.txt")
    for lines in (["/a/abbey 0", "/a/arena 2"], ["/a/abbey 0", "/b/abbey 1"], ["abbey"], []):
        text(places, "categories_places365.txt", *lines)
        mistakes("places365", places, "categories_places365.txt: wanted lines such as")


@pytest.mark.parametrize("compressed", [True, False])
def test_matlab_files_are_read_as_scipy_writes_them(tmp_path, compressed):
    path = tmp_path / "a.mat"
    numbers = {
        f"n_{dtype}": np.array([[1, 2, 3]], dtype)
        for kind, widths in {
            "int": (8, 16, 32, 64),
            "uint": (8, 16, 32, 64),
            "float": (32, 64),
        }.items()
        for dtype in (f"{kind}{width}" for width in widths)
    }
    cells = np.empty((1, 3), object)
    cells[0] = ["abbey", np.array([[5.0]]), "größe"]
    records = np.array([[(1, "one"), (2, "zwölf")]], [("id", object), ("word", object)])
    wide = np.arange(6).reshape(2, 3)
    savemat(path, compressed, **numbers, cells=cells, records=records, wide=wide, none=np.zeros(0))
    read = read_mat(path)
    for name, values in numbers.items():
        assert read[name].tolist() == [1, 2, 3]
        assert read[name].dtype == values.dtype
    assert [read["cells"][0], read["cells"][1].tolist(), read["cells"][2]] == [
        "abbey",
        [5],
        "größe",
    ]
    assert [(r["id"].tolist(), r["word"]) for r in read["records"]] == [
        ([1], "one"),
        ([2], "zwölf"),
    ]
    assert read["wide"].tolist() == [0, 3, 1, 4, 2, 5]
    assert len(read["none"]) == 0


def test_big_endian_matlab_file(tmp_path):
    def element(kind, data):
        head = kind.to_bytes(4, "big") + len(data).to_bytes(4, "big")
        return head + data + b"\0" * (-len(data) % 8)

    flags = element(6, (9).to_bytes(4, "big") + bytes(4))
    shape = element(5, (1).to_bytes(4, "big") + (2).to_bytes(4, "big"))
    name = (1 << 16 | 1).to_bytes(4, "big") + b"x\0\0\0"
    values = element(4, (258).to_bytes(2, "big") + (7).to_bytes(2, "big"))
    path = tmp_path / "big.mat"
    path.write_bytes(b" " * 124 + b"\1\0MI" + element(14, flags + shape + name + values))
    assert read_mat(path)["x"].tolist() == [258, 7]


@pytest.mark.parametrize("compressed", [True, False])
def test_damaged_matlab_files_are_data_errors(tmp_path, compressed):
    path = tmp_path / "a.mat"
    savemat(path, compressed, annotations=annotations((3, "00001.jpg"), (1, "00002.jpg")))
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    damaged = 0
    for _ in range(100):
        content = bytearray(whole[: rng.integers(len(whole))] if rng.random() < 0.3 else whole)
        for place in rng.integers(0, len(content), 3) if content else ():
            content[place] = rng.integers(256)
        path.write_bytes(content)
        try:
            read_mat(path)
        except DataError:
            damaged += 1
    assert damaged > 50


def test_a_matlab_file_that_grows_when_unpacked_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("trainables.data.importing.mat_file.MAX_MAT_BYTES", 2**16)
    path = tmp_path / "a.mat"
    savemat(path, zeros=np.zeros(2**14))
    with pytest.raises(DataError, match=r"damaged \(more than .* MiB unpacked"):
        read_mat(path)
