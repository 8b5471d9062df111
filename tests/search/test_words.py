"""A Python call is a command line: what each argument becomes, and what is refused."""

from pathlib import Path

import pytest

from search.options import parser
from search.words import parsed, words
from trainables.errors import BadRequestError


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"trials": 40}, ["--trials=40"]),
        ({"max_gflops": 0.5}, ["--max-gflops=0.5"]),
        ({"data": Path("/data/birds")}, ["--data=/data/birds"]),
        ({"full": True}, ["--full"]),
        ({"measure": False}, ["--no-measure"]),
        ({"trials": None, "settings": {}, "objectives": []}, []),
        ({"objectives": ["valid_top1", "gflops"]}, ["--objective", "valid_top1", "gflops"]),
        ({"objectives": ("gflops",)}, ["--objective", "gflops"]),
        (
            {"settings": {"depth": 6, "shared_kv": True, "lr": "1e-4:1e-2:log"}},
            ["--set", "depth=6", "shared_kv=true", "lr=1e-4:1e-2:log"],
        ),
        ({"seed": 0, "lanes": 2}, ["--seed=0", "--lanes=2"]),
        ({"name": "-x"}, ["--name=-x"]),
    ],
)
def test_arguments_as_words(given, expected):
    assert words(given) == expected


def test_every_option_of_the_command_line_can_be_given():
    """Whatever it is called: the rule knows no option but two with another name."""
    given = parser().parse_args(["linformer", *words({"patience": 7, "disk_limit": "2GB"})])
    assert (given.patience, given.disk_limit) == ("7", "2GB")
    kept = parser().parse_args(["linformer", *words({"keep_weights": True, "sampler": "tpe"})])
    assert (kept.keep_weights, kept.sampler) == (True, "tpe")


def test_objectives_and_ranges_go_the_same_way(tmp_path):
    more = {"objectives": ["gflops", "valid_top1"], "settings": {"lr": "1e-4:1e-3:log"}, "hours": 2}
    asked = parsed(["linformer", *words({"home": tmp_path} | more)])
    assert asked.objectives == ("valid_top1", "gflops")
    assert (asked.hours, asked.settings, list(asked.domains)) == (2.0, {}, ["lr"])


def test_all_mistakes_at_once(tmp_path):
    home = tmp_path / "home"
    given = words({"home": home, "trials": 0, "epochs": "many", "settings": {"dpeth": 6}})
    with pytest.raises(BadRequestError) as caught:
        parsed(["linformer", *given])
    said = str(caught.value)
    assert "--trials must be a whole number of at least 1, given '0'" in said
    assert "--epochs must be a whole number" in said
    assert "--set dpeth: no such parameter; did you mean 'depth'?" in said
    assert not home.exists()


@pytest.mark.parametrize(
    ("given", "part"),
    [
        ({"colour": "red", "shape": True}, "there is no option for --colour"),
        ({"colour": "red", "shape": True}, "there is no option for --shape"),
        ({"trials": [1, 2]}, "there is no option for 2"),
        ({"dry_run": True}, "dry_run has no result"),
        ({"full": "yes"}, "--full: ignored explicit argument 'yes'"),
        ({"trials": True}, "--trials: expected one argument"),
        ({"help": True}, "no sweep is asked for"),
    ],
)
def test_what_no_command_line_has(capsys, given, part):
    with pytest.raises(BadRequestError) as caught:
        parsed(["linformer", *words(given)])
    assert part in str(caught.value)
    assert capsys.readouterr() == ("", "")
