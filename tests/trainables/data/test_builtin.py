"""The data sets of the package, finding them by name, and the command line."""

import json
import multiprocessing
import shutil
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from itertools import chain

import numpy as np
import pytest
from PIL import Image

from trainables.data import (
    SPLITS,
    DataError,
    UnknownDatasetError,
    check,
    decoded,
    locate,
    names,
    outlined,
)
from trainables.data.__main__ import main
from trainables.data.builtin import digits, galaxies


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    assert check("digits", home / "data") is None
    locate("digits", home / "data")
    return home


@pytest.fixture
def few_galaxies(monkeypatch):
    """Sixteen galaxies a split, drawn in this process."""

    class Here:
        def __init__(self, **_): ...
        def __enter__(self):
            return self

        def __exit__(self, *_): ...
        def map(self, function, *iterables, **_):
            return map(function, *iterables)

    monkeypatch.setattr(galaxies, "ProcessPoolExecutor", Here)
    monkeypatch.setattr(galaxies, "SIZES", dict.fromkeys(galaxies.SIZES, 16))
    monkeypatch.setattr(galaxies, "REAL_COUNTS", (1,) * 8)


def test_names_are_the_files():
    assert names() == ["digits", "galaxies"]


def test_import_is_light():
    code = (
        "import sys, trainables.data;"
        "print(sorted({'torch', 'ray', 'pyarrow', 'PIL', 'sklearn', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_digits(home):
    dataset = check("digits", home / "data")
    assert dataset is not None
    assert dataset.num_classes == 10
    assert [dataset.rows(split) for split in ("train", "valid", "test")] == [1149, 289, 359]
    for split, share in digits.SHARES.items():
        everyone = np.sum([dataset.class_counts(s) for s in digits.SHARES], axis=0)
        assert np.abs(np.array(dataset.class_counts(split)) - share * everyone).max() <= 1
    assert not dataset.symmetries.horizontal_flip
    assert dataset.symmetries.rotation_degrees == 0


@pytest.mark.parametrize("name", names())
def test_what_is_known_of_a_set_before_it_is_made(tmp_path, name):
    outline = outlined(name, tmp_path)
    assert (outline.name, outline.path, outline.shards) == (name, tmp_path / name, ())
    assert {outline.rows(split) > outline.num_classes for split in SPLITS} == {True}
    assert list(tmp_path.iterdir()) == []


def test_the_outline_of_digits_is_right(home):
    made, outline = locate("digits", home), outlined("digits", home)
    assert outline.classes == made.classes
    assert outline.image_size == made.image_size
    assert [outline.rows(split) for split in SPLITS] == [made.rows(split) for split in SPLITS]


def test_digits_are_those_of_scikit_learn(home, tmp_path):
    from sklearn.datasets import load_digits

    images, labels = decoded(locate("digits", home / "data"), "valid", 8, tmp_path)
    real = load_digits()
    rows = digits.split_indices(real.target)["valid"]
    assert labels.tolist() == real.target[rows].tolist()
    sample = images[:40, 0].reshape(40, 64).astype(float)
    original = real.data[rows[:40]]
    assert all(np.corrcoef(a, b)[0, 1] > 0.95 for a, b in zip(sample, original, strict=True))


def test_digits_are_always_split_alike():
    labels = np.repeat(np.arange(10), 50)
    first, second = digits.split_indices(labels), digits.split_indices(labels)
    assert first == second
    assert sorted(chain(*first.values())) == list(range(500))
    assert [len(rows) for rows in first.values()] == [320, 80, 100]


@pytest.mark.parametrize("size", [8, 33, 64, 120])
@pytest.mark.parametrize("label", range(8))
def test_every_galaxy_renders_the_same_again(label, size):
    picture, again = (galaxies.render(label, np.random.default_rng(label), size) for _ in "12")
    assert picture.shape == (size, size, 3)
    assert picture.dtype == np.uint8
    assert picture.std() > 3
    np.testing.assert_array_equal(picture, again)
    other = galaxies.render(label, np.random.default_rng(label + 100), size)
    assert (picture != other).any()


def test_galaxy_mistakes():
    with pytest.raises(ValueError, match=r"class_index 8 is outside 0..7"):
        galaxies.render(8, np.random.default_rng(0), 64)
    with pytest.raises(ValueError, match="size 7 is too small"):
        galaxies.render(0, np.random.default_rng(0), 7)


def test_galaxies_have_the_statistics_of_the_real_ones():
    labels = galaxies.split_labels("valid")[:160]
    pictures = np.stack(
        [galaxies.render(c, np.random.default_rng(i), 48) for i, c in enumerate(labels)]
    )
    pixels = pictures.reshape(-1, 3) / 255
    np.testing.assert_allclose(pixels.mean(axis=0), (0.094, 0.0815, 0.063), atol=0.012)
    np.testing.assert_allclose(pixels.std(axis=0), (0.1303, 0.11, 0.0913), atol=0.02)


def test_brightness_does_not_tell_the_class():
    means = [
        np.mean([galaxies.render(c, np.random.default_rng(i), 40).mean() for i in range(25)])
        for c in range(8)
    ]
    assert max(means) / min(means) < 1.35


def test_galaxy_labels_have_the_real_shares():
    labels = galaxies.split_labels("train")
    assert len(labels) == 6000
    shares = np.array(galaxies.REAL_COUNTS) / sum(galaxies.REAL_COUNTS)
    assert np.abs(np.bincount(labels) - shares * 6000).max() < 1
    assert labels == galaxies.split_labels("train")
    assert min(np.bincount(galaxies.split_labels("valid"))) == 20


@pytest.mark.usefixtures("few_galaxies")
def test_galaxies_made_twice_are_alike(tmp_path):
    calls = []
    first = locate("galaxies", tmp_path / "1", lambda *call: calls.append(call))
    second = locate("galaxies", tmp_path / "2")
    assert first.fingerprint == second.fingerprint
    assert first.class_counts("test") == (2,) * 8
    assert first.image_size == 224
    assert (first.symmetries.rotation_degrees, first.symmetries.vertical_flip) == (90, True)
    assert calls[-1] == (48, 48)


@pytest.mark.slow
@pytest.mark.usefixtures("few_galaxies")
def test_galaxies_on_all_cores_are_the_same(tmp_path, monkeypatch):
    alone = locate("galaxies", tmp_path / "1")
    monkeypatch.setattr(galaxies, "ProcessPoolExecutor", ProcessPoolExecutor)
    assert locate("galaxies", tmp_path / "2").fingerprint == alone.fingerprint


def test_interrupted_making_leaves_nothing(tmp_path, monkeypatch):
    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(digits, "write_split", fail)
    with pytest.raises(KeyboardInterrupt):
        locate("digits", tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [".digits.lock"]


def test_made_once(home, monkeypatch):
    monkeypatch.setattr(digits, "make", None)
    assert locate("digits", home / "data") == check("digits", home / "data")


def _locate(home):
    return locate("digits", home).fingerprint


def test_two_makers_at_once_make_once(home, tmp_path, monkeypatch):
    def make(directory, _):
        with (tmp_path / "made").open("a") as log:
            log.write("x")
        shutil.copytree(home / "data" / "digits", directory, dirs_exist_ok=True)

    monkeypatch.setattr(digits, "make", make)
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
        one, two = pool.map(_locate, [tmp_path / "data"] * 2)
    assert one == two
    assert (tmp_path / "made").read_text() == "x"


def test_paths(home, tmp_path):
    folder = home / "data" / "digits"
    assert locate(str(folder), tmp_path) == check(str(folder), tmp_path)
    for call in (locate, check):
        with pytest.raises(DataError, match="no such folder"):
            call(str(tmp_path / "nothing"), tmp_path)


def test_unknown_name(tmp_path):
    for call in (locate, check):
        with pytest.raises(UnknownDatasetError, match=r"did you mean 'galaxies'.*digits, galaxies"):
            call("galaxy", tmp_path)
    assert not list(tmp_path.iterdir())


def test_damaged_built_in_says_how_to_make_it_again(tmp_path):
    (tmp_path / "digits").mkdir()
    with pytest.raises(DataError, match=r"remove this folder and it is made again"):
        locate("digits", tmp_path)


def test_show(home, capsys, tmp_path):
    sheet = tmp_path / "sheet.png"
    assert main(["show", "digits", "--home", str(home), "--out", str(sheet)]) == 0
    out = capsys.readouterr().out
    assert "1,149" in out
    assert "digits: 1,797 images of 10 classes, 56 px" in " ".join(out.split())
    with Image.open(sheet) as image:
        assert image.height == 10 * 96
        assert np.asarray(image)[:, 150:].std() > 30


def test_describe_command(home, capsys, tmp_path):
    for path in (home / "data" / "digits").glob("*.parquet"):
        (tmp_path / path.name).symlink_to(path)
    assert main(["describe", str(tmp_path)]) == 0
    assert "1,797 images of 10 classes" in capsys.readouterr().out
    assert json.loads((tmp_path / "dataset.json").read_text())["splits"]["valid"]["rows"] == 289


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["make", "digit"], 2, "error: unknown data set 'digit' (did you mean 'digits'?)"),
        (["show", "galaxy"], 2, "error: unknown data set 'galaxy'"),
        (["describe", "/nowhere/at/all"], 4, "error: /nowhere/at/all: no such folder"),
        (["show", "digits", "--home", "/proc/no"], 6, "error: "),
    ],
)
def test_command_line_mistakes(arguments, code, said, capsys):
    assert main(arguments) == code
    assert said in capsys.readouterr().err


def test_wrong_usage_is_exit_code_2(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["paint"])
    assert caught.value.code == 2
    assert "invalid choice" in capsys.readouterr().err
