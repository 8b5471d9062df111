"""Files found by names that other programs have changed, and what is said where none is."""

import unicodedata
from pathlib import Path

import pytest

from trainables.data import DataError
from trainables.data.importing.file_names import FileNames
from trainables.data.importing.forms import Options, recognised, table
from trainables.data.importing.importer import import_

FILES = [
    "00007.png",
    "img_012.jpg",
    "pics/3.jfif",
    "pics/58950.jpg",
    unicodedata.normalize("NFD", "flügel 0.png"),
    "Upper/ONE.JPG",
    "raw/scan.data",
    "pics/two words.png",
]


@pytest.mark.parametrize(
    ("name", "path", "how"),
    [
        ("7", "00007.png", "zeros"),
        ("0000007.png", "00007.png", "zeros"),
        ("img_12.jpg", "img_012.jpg", "zeros"),
        ("pics\\3.jfif", "pics/3.jfif", "backslashes"),
        (".\\pics\\3", "pics/3.jfif", "backslashes"),
        ("58950.0", "pics/58950.jpg", "floating-point"),
        ("58950.0.jpg", "pics/58950.jpg", "floating-point"),
        ("7.0", "00007.png", "zeros"),
        ("fl\u00fcgel 0.png", FILES[4], "accents"),
        ("FL\u00dcGEL 0", FILES[4], "cases"),
        ("upper/one.jpg", "Upper/ONE.JPG", "cases"),
        ("pics/3.jpg", "pics/3.jfif", "suffix"),
        ("pics/two%20words.png", "pics/two words.png", "%20"),
        ("/data/of/others/pics/3.jfif", "pics/3.jfif", "another place"),
        ("C:\\Users\\me\\pics\\3.jfif", "pics/3.jfif", "another place"),
        ("/kaggle/input/00007.png", "00007.png", "another place"),
        ("source/00007.png", "00007.png", "another place"),
        ("other/pics/3.jfif", "pics/3.jfif", "another place"),
    ],
)
def test_what_other_programs_do_is_undone_and_told(tmp_path, name, path, how):
    files = FileNames(FILES, tmp_path / "source")
    assert files.find(name) == (path, "")
    (said,) = files.notes()
    assert said.startswith("1 names were found ")
    assert how in said
    assert f"such as {name!r}: {path}" in said


@pytest.mark.parametrize("name", ["pics/3.jfif", "3", "raw/scan.data", "scan.data", "./00007.png"])
def test_names_that_are_right_are_told_nothing(name):
    files = FileNames(FILES)
    assert files.find(name)[0]
    assert not files.notes()


def test_paths_of_this_machine_and_upwards(tmp_path):
    files = FileNames(FILES, tmp_path)
    assert files.find(f"{tmp_path}/pics/3.jfif") == ("pics/3.jfif", "")
    assert files.find("../pics/3.jfif", "tables/") == ("pics/3.jfif", "")
    assert len(files.notes()) == 2
    for name in ("../../etc/passwd.png", "/etc/passwd.png", "D:\\etc\\passwd.png"):
        assert files.find(name, "tables/") == (None, "leaves the folder of the images")


def test_what_could_be_several_files_is_none():
    files = FileNames(["a/07.png", "b/007.png", "x/One.png", "y/one.PNG", "train/1.jpg"])
    for name in ("7", "ONE.png", "0007"):
        found, reason = files.find(name)
        assert found is None
        assert reason.startswith("2 files have this name, such as ")
    assert files.find("test/1.jpg")[0] is None  # not that of train, though it is the only 1.jpg
    assert files.find("07") == ("a/07.png", "")


def test_the_nearest_file_is_shown_once():
    files = FileNames(["birds/00007.png", "birds/00008.png"])
    said = [files.find(name) for name in ("bird_7.png", "bird_9.png")]
    assert said[0] == (None, "no such image (the nearest file is birds/00007.png)")
    assert said[1] == (None, "no such image")
    assert FileNames([]).find("x") == (None, "no such image (there is no file)")


def put(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(path.encode())


def test_a_table_without_any_match_says_why(tmp_path):
    put(tmp_path, "in/a-1.png", "in/a-2.png")
    (tmp_path / "in/labels.csv").write_text("id,label\nb=1,x\nb=2,y\n,z\n")
    listing = table.listing(tmp_path / "in", Options())
    with pytest.raises(DataError) as caught:
        import_(listing, tmp_path / "data" / "t")
    said = str(caught.value)
    assert "none of the 3 that are named can be used, such as" in said
    assert "b=1: no such image (the nearest file is a-1.png), in labels.csv" in said
    assert "(no name): a row without a file" in said


def test_the_other_of_two_columns_is_the_class(tmp_path):
    put(tmp_path, "train/0a.jpg", "train/0b.jpg", "test/0c.jpg")
    (tmp_path / "labels.csv").write_text("id,breed\n0a,pug\n0b,collie\n")
    (tmp_path / "sample_submission.csv").write_text("id,collie,pug\n0c,.5,.5\n")
    assert table.fits(tmp_path, Options())
    listing = table.listing(tmp_path, Options())
    assert listing.classes == ("collie", "pug")
    assert "labels.csv: id is read as the files and breed as their classes" in listing.notes[0]
    (tmp_path / "labels.csv").write_text("id,breed,owner\n0a,pug,me\n0b,collie,you\n")
    assert not table.fits(tmp_path, Options())
    assert any("it has: id, breed, owner" in said for said in table.hints(tmp_path, Options()))
    assert table.fits(tmp_path, Options(label_column="breed"))


def test_a_list_of_classes_beside_their_folders_is_no_table_of_labels(tmp_path):
    put(tmp_path, "cat/1.jpg", "cat/2.jpg", "dog/1.jpg", "dog/2.jpg")
    (tmp_path / "classes.csv").write_text("id,name\n1,cat\n2,dog\n")
    assert not table.fits(tmp_path, Options())
    assert recognised(tmp_path, Options()) == "folder"


def test_a_table_of_test_without_labels_is_left_out(tmp_path):
    put(tmp_path, "1.jpg", "2.jpg", "3.jpg")
    (tmp_path / "train.csv").write_text("id,label\n1,a\n2,b\n")
    (tmp_path / "test.csv").write_text("id\n3\n")
    assert table.fits(tmp_path, Options())
    listing = table.listing(tmp_path, Options())
    assert listing.ids == ["1.jpg", "2.jpg"]
    assert "test.csv has no column of labels and is left out" in listing.notes


def test_files_of_any_suffix_are_taken_where_a_table_names_them(tmp_path):
    put(tmp_path, "1.jfif", "2.img", "3")
    (tmp_path / "labels.csv").write_text("file,label\n1.jfif,a\n2.img,b\n3,b\n")
    assert table.listing(tmp_path, Options()).ids == ["1.jfif", "2.img", "3"]
