"""`python -m trainables.data import`: from files to a data set that is found by its name."""

import io
import json
import shutil
import stat

import numpy as np
import pytest
from PIL import Image

from trainables.data import UnknownDatasetError, catalogue, check, contact_sheet, decoded, locate
from trainables.data.__main__ import main
from trainables.data.describe import About, describe
from trainables.data.parquet import write_split


def png(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def source(tmp_path):
    """Ninety images of three classes."""
    for index in range(90):
        path = tmp_path / "birds" / f"{'abc'[index % 3]} [bold]" / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(index))
    return tmp_path / "birds"


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


def imported(source, home, *more: str) -> int:
    return main(["import", str(source), "--to", "my-birds", "--home", str(home), *more])


@pytest.mark.parametrize(
    "command", ["import", *(pytest.param(c, marks=pytest.mark.slow) for c in ("make", "show"))]
)
def test_a_home_that_is_made_here_is_for_its_owner_only(source, home, command):
    if command == "import":
        assert imported(source, home) == 0
    else:
        assert main([command, "digits", "--home", str(home)]) == 0
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


def test_imported_and_found_by_name(source, home, capsys):
    more = ["--licence", "CC0", "--rotation", "90", "--horizontal-flip", "--source", "garden"]
    assert imported(source, home, *more) == 0
    said = capsys.readouterr()
    assert f"{home / 'data' / 'my-birds'}: 90 images of 3 classes, 8 px" in said.out
    assert f"{source} is read as folder" in said.err
    assert "90 images without a split" in said.err
    for find in (check, locate):
        dataset = find("my-birds", home / "data")
        assert dataset is not None
        assert (dataset.name, dataset.licence, dataset.source) == ("my-birds", "CC0", "garden")
        assert (dataset.symmetries.rotation_degrees, dataset.symmetries.horizontal_flip) == (90, 1)
        assert not dataset.symmetries.vertical_flip
    assert imported(source, home, *more) == 0
    assert "was imported before" in capsys.readouterr().err
    assert imported(source, home) == 2
    assert "exists and is of something else" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            [],
            "an image that is turned or mirrored may be of another class",
        ),
        (
            ["--horizontal-flip"],
            "an image stays of its class when mirrored left to right.",
        ),
        (
            ["--rotation", "90", "--horizontal-flip", "--vertical-flip"],
            "an image stays of its class when turned by up to 90 degrees or mirrored left to right "
            "or upside down.",
        ),
    ],
)
def test_what_is_assumed_is_said_and_what_changes_it(source, home, capsys, options, said):
    assert imported(source, home, *options) == 0
    printed = capsys.readouterr().out
    assert f"Assumed for augmentation: {said}" in printed
    for option in ("--horizontal-flip", "--vertical-flip", "--no-...", "--rotation DEGREES"):
        assert option in printed
    assert "Symmetries(" not in printed
    assert main(["show", "my-birds", "--home", str(home)]) == 0
    assert "Symmetries(" not in (shown := capsys.readouterr().out)
    assert "for augmentation, " in shown


def test_a_form_that_knows_its_symmetries_can_be_told_others(tmp_path, home):
    for split, ids in {"train": range(30), "valid": range(30, 60), "test": range(60, 90)}.items():
        rows = [f"{index},{index % 3}" for index in ids]
        table = "\n".join(["galaxyID,label4", *rows])
        (tmp_path / f"gz2_{split}.csv").write_text(table)
        for index in ids:
            (tmp_path / f"{index}.png").write_bytes(png(index))
    more = ["--label-column", "label4", "--no-horizontal-flip", "--rotation", "0"]
    assert imported(tmp_path, home, *more) == 0
    symmetries = locate("my-birds", home / "data").symmetries
    assert (symmetries.rotation_degrees, symmetries.horizontal_flip) == (0, False)
    assert symmetries.vertical_flip  # of which nothing was said


def test_sixteen_bit_images_of_a_twelve_bit_camera(tmp_path, home, capsys):
    for index in range(60):
        path = tmp_path / "cells" / "ab"[index % 2] / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(index).integers(0, 4096, (16, 16), np.uint16)
        Image.fromarray(pixels).save(path)
    assert imported(tmp_path / "cells", home) == 0
    assert "read as 12 bits, 4,095 is white; --bits 16" in capsys.readouterr().err
    dataset = locate("my-birds", home / "data")
    assert dataset.mean == pytest.approx((0.5, 0.5, 0.5), abs=0.03)
    images, _ = decoded(dataset, "train", 16, tmp_path / "cache")
    assert len(np.unique(images)) == 256
    assert main(["show", "my-birds", "--home", str(home)]) == 0
    assert "16-bit pixels are read as 12 bits" in capsys.readouterr().out
    shutil.rmtree(dataset.path)
    assert imported(tmp_path / "cells", home, "--bits", "16") == 0
    assert locate("my-birds", home / "data").mean[0] < 0.05
    assert imported(tmp_path / "cells", home, "--bits", "4") == 2
    assert "--bits 4: give a number from 8 to 16" in capsys.readouterr().err


@pytest.mark.parametrize("home", ["sweeps", "."])
def test_the_same_again_where_the_images_are(source, capsys, monkeypatch, home):
    """The home then lies in the source, or is the source."""
    monkeypatch.chdir(source)
    asked = ["import", ".", "--home", home, "--to"]
    assert main([*asked, "one"]) == 0
    assert main(["show", "one", "--home", home]) == 0  # which leaves a picture
    assert main([*asked, "one"]) == 0
    assert "was imported before" in capsys.readouterr().err
    assert main([*asked, "two"]) == 0
    assert "90 images of 3 classes" in capsys.readouterr().out


def test_unknown_names_are_told_the_imported_ones(source, home):
    imported(source, home)
    assert catalogue.imported(home / "data") == ["my-birds"]
    with pytest.raises(UnknownDatasetError, match=r"mean 'my-birds'\?.*digits, galaxies, my-birds"):
        locate("my-bird", home / "data")


def test_a_request_for_a_sweep_finds_it(source, home):
    from search.request import parse

    imported(source, home)
    request = parse(["linformer", "--data", "my-birds", "--home", str(home)])
    assert request.data == "my-birds"


def test_show(source, home, capsys):
    imported(source, home)
    assert main(["show", "my-birds", "--home", str(home)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "a [bold]" in said
    assert "a [bold] │ 24 │ 3 │ 3" in said
    with Image.open(home / "data" / "my-birds" / "contact-sheet.png") as sheet:
        assert sheet.height == 3 * contact_sheet.TILE_PX


def test_show_of_many_classes(tmp_path, capsys):
    names = [f"class {index} with a rather long name, ünïcode" for index in range(90)]
    for split in ("train", "valid", "test"):
        write_split(tmp_path, split, [(png(i), f"{i}.png", i) for i in range(90)], names)
    describe(tmp_path, About(classes=names))
    assert main(["show", str(tmp_path)]) == 0
    assert "it draws 40 of the 90 classes" in capsys.readouterr().out
    with Image.open(tmp_path / "contact-sheet.png") as sheet:
        assert sheet.height == 40 * contact_sheet.TILE_PX
        pixels = np.asarray(sheet)
    for row in (0, 20, 39):
        top = row * contact_sheet.TILE_PX
        tile = pixels[top : top + contact_sheet.TILE_PX, contact_sheet.LABEL_PX :]
        assert tile[:, : contact_sheet.TILE_PX].std() > 20
        assert pixels[top : top + contact_sheet.TILE_PX, : contact_sheet.LABEL_PX].max() > 200


def test_all_mistakes_of_a_request_at_once(source, home, capsys):
    wrong = [
        "--form",
        "foldr",
        "--splits",
        "1",
        "0",
        "0",
        "--rotation",
        "270",
        "--labels",
        "no.csv",
    ]
    assert main(["import", "/no/where", "--to", "../x", "--home", str(home), *wrong]) == 2
    said = capsys.readouterr().err
    for part in (
        "/no/where: no such source",
        "no.csv: no such table",
        "unknown form 'foldr' (did you mean 'folder'?)",
        "shares 1 0 0: give a number above 0 for each of train, valid, test",
        "--rotation 270: give degrees from 0 to 180",
        "'../x' cannot be the name of a data set; use letters, digits",
    ):
        assert part in said
    assert "Traceback" not in said
    assert not home.exists()
    (source / "x.txt").touch()
    assert main(["import", str(source / "x.txt"), "--to", "x", "--home", str(home)]) == 2
    assert "of none of the known forms" in capsys.readouterr().err


def test_bad_images_are_exit_code_4(source, home, capsys):
    for index in range(25):
        (source / "a [bold]" / f"bad {index}.png").write_bytes(b"no image %d" % index)
    assert imported(source, home) == 4
    said = capsys.readouterr().err
    assert said.count("cannot be decoded") == 20
    assert "error: and 5 more" in said
    assert "25 bad images, all named in" in said
    assert imported(source, home, "--skip-bad") == 0
    said = capsys.readouterr().err
    assert "going on with an interrupted import: 90 images are done" in said
    assert "25 bad images are left out; skipped.csv names them" in said
    record = json.loads((home / "data" / "my-birds" / "import.json").read_text())
    assert record["left_out"] == 25
    assert record["origin"] == f"folder: {source}"


def test_interrupted_is_told_how_to_go_on(source, home, capsys, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("trainables.data.importing.chunks.decode", interrupt)
    assert imported(source, home) == 130
    assert "give the same command again to go on from here" in capsys.readouterr().err
    assert catalogue.imported(home / "data") == []


def test_classes_from_a_file(tmp_path, home):
    np.savez(
        tmp_path / "x.npz",
        x=np.random.default_rng(0).integers(0, 256, (30, 6, 6), np.uint8),
        y=np.arange(30) % 2,
    )
    (tmp_path / "names.txt").write_text("no\n\nyes\n")
    more = ["--classes", str(tmp_path / "names.txt"), "--splits", ".5", ".25", ".25"]
    assert imported(tmp_path / "x.npz", home, *more) == 0
    dataset = locate("my-birds", home / "data")
    assert dataset.classes == ("no", "yes")
    assert [sum(dataset.class_counts(s)) for s in ("train", "valid", "test")] == [14, 8, 8]
