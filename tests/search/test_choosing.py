"""What `--set` and `--space` say of the space, and what a plan keeps of it."""

import json
from dataclasses import replace

import pytest

import spaces
from search.assignments import read
from search.choosing import choose
from search.plan import Plan
from search.request import parse
from search.settings import setting_mistakes
from spaces.space import Choice, Integer, Real
from trainables import models
from trainables.data import locate
from trainables.errors import BadRequestError
from trainables.recipe import TRAINING

KINDS = (*TRAINING, *models.kinds("linformer"))
SMALL = """
from spaces.space import Choice, Integer, Space
from spaces.wttf import TRAINING

SPACE = Space(
    params={"depth": Integer(2, 3), "heads": Choice((2, 4)), **TRAINING},
    fixed={"grid": 7, "dim": 64, "k_dim": 16},
)
"""


@pytest.fixture
def home(digits_home):
    return digits_home


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(SMALL)
    return path


def request(home, *more):
    return parse(["linformer", "--home", str(home), *more])


def plan(home, *more):
    return request(home, *more).plan(locate("digits", home / "data"))


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("depth=4:8", Integer(4, 8)),
        ("dim=64:256:step=64", Integer(64, 256, step=64)),
        ("k_dim=4:64:log", Integer(4, 64, log=True)),
        ("lr=1e-4:1e-2:log", Real(1e-4, 1e-2, log=True)),
        ("drop_path=0:0.1", Real(0.0, 0.1)),
        ("weight_decay=0,0.1", Choice((0.0, 0.1))),
        ("heads=2,4", Choice((2, 4))),
        ("shared_kv=true,false", Choice((True, False))),
        ("schedule=step,cosine", Choice(("step", "cosine"))),
        ("clip_grad_norm=0:1", Real(0.0, 1.0)),
    ],
)
def test_ranges_and_lists(text, domain):
    assigned, wrong = read([text], KINDS)
    assert (assigned.values, wrong) == ({}, [])
    assert assigned.domains == {text.partition("=")[0]: domain}


def test_a_value_stays_a_constant():
    texts = ["depth=6", "lr=3e-4", "weights=/a,b/c:d", "schedule=step", "pretrain_data=/a:b,c"]
    assigned, wrong = read(texts, KINDS)
    assert (assigned.domains, wrong) == ({}, [])
    assert assigned.values == {
        "depth": 6,
        "lr": 3e-4,
        "weights": "/a,b/c:d",
        "schedule": "step",
        "pretrain_data": "/a:b,c",
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("depth=8:4", "the range 8 to 4 is empty"),
        ("depth=4:8.5", "'8.5' is not a whole number"),
        ("depth=1:8:step=2", "step 2 does not lead from 1 to 8"),
        ("lr=0:1:log", "must begin above 0"),
        ("lr=1e-4:1e-2:step=2", "only whole numbers have steps"),
        ("lr=1e-4:1e-2:lag", "a range is LOW:HIGH, LOW:HIGH:log or LOW:HIGH:step=N"),
        ("lr=low:high", "'low' is not a number"),
        ("heads=2,2", "names each value once"),
        ("heads=2,x", "'x' is not a whole number"),
        ("schedule=a:b", "it has no numbers, and so no range"),
        ("shared_kv=0:1", "it has no numbers"),
    ],
)
def test_what_cannot_be_read_is_told_with_what_was_given(text, said):
    assigned, (mistake,) = read([text], KINDS)
    assert assigned.domains == {}
    assert mistake.startswith(f"--set {text}: ")
    assert said in mistake


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["dpth=4:8"], "--set dpth: no such parameter; did you mean 'depth'?"),
        (["image_size=56,112"], "--set image_size: this has an option of its own"),
        (["grid=7,14", "patch=8"], "say the same; give one"),
        (["schedule=step,cosinus"], "schedule must be one of step, cosine, given 'cosinus'"),
        (["gamma=0.5:2"], "gamma must be"),
        (["heads=0,2"], "heads"),
        (["k_dim=1000:2000"], "no configuration at 56 px keeps the rules"),
        (["grid=7,9"], "grid=9: no configuration at 56 px keeps the rules"),
        (["pretrain_epochs=-1,2"], "pretrain_epochs must be at least 0"),
    ],
)
def test_what_no_trial_can_have_is_told(texts, said):
    chosen, unread = choose("linformer", texts, None, None)
    assert unread == []
    wrong = setting_mistakes("linformer", chosen.settings, 56, chosen)
    assert any(said in mistake for mistake in wrong), wrong


def test_all_mistakes_at_once(home):
    with pytest.raises(BadRequestError) as caught:
        request(home, "--set", "depth=8:4", "heds=2,4", "lr=0:1:log", "--trials", "0")
    text = str(caught.value)
    for said in ("range 8 to 4 is empty", "did you mean 'heads'?", "above 0", "--trials must be"):
        assert said in text


def test_domains_replace_those_of_the_variant_and_constants(home):
    space = plan(home, "--set", "depth=4:6", "dropout=0:0.2", "min_lr=0,1e-5", "heads=2").searched
    assert space.params["depth"] == Integer(4, 6)
    assert space.params["dropout"] == Real(0.0, 0.2)
    assert "dropout" not in space.fixed
    assert space.fixed["heads"] == 2
    assert space.params["dim"] == spaces.load("linformer").params["dim"]
    assert "min_lr" in space.conditional
    assert list(space.params)[:2] == ["grid", "depth"]


def test_a_recipe_does_not_hold_what_is_searched(home):
    space = plan(home, "--set", "recipe=deit3", "schedule=step,cosine").searched
    assert space.params["schedule"] == Choice(("step", "cosine"))
    assert space.conditional.keys() >= {"gamma", "step_size"}


def test_patches_in_pixels_are_searched_in_place_of_the_grid(home):
    space = plan(home, "--set", "patch=4,8").searched
    assert "grid" not in space.params
    assert not space.broken({"patch": 8, "k_dim": 16}, 56)
    assert space.broken({"patch": 5, "k_dim": 16}, 56)


def test_a_plan_keeps_them_and_a_changed_one_is_shown(home, tmp_path):
    made = plan(home, "--set", "depth=4:6", "lr=1e-4:1e-2:log")
    made.save(tmp_path / "plan.json")
    assert Plan.load(tmp_path / "plan.json") == made
    assert Plan.load(tmp_path / "plan.json").searched == made.searched
    other = plan(home, "--set", "depth=4:6", "lr=1e-4:1e-2")
    (difference,) = made.differences(other)
    assert difference.startswith("domains: was ")
    assert any("space: was " in d for d in made.differences(plan(home, "--set", "depth=4:7")))


def test_a_plan_of_before_has_none(make_plan):
    document = json.loads(make_plan().to_json())
    del document["domains"], document["own_space"]
    assert Plan.of(document) == make_plan()


@pytest.mark.parametrize("damaged", [{"domains": {"lr": 3}}, {"own_space": {"params": {"a": 1}}}])
def test_a_damaged_plan_is_refused(make_plan, damaged):
    with pytest.raises(ValueError, match="domains or own_space"):
        Plan.of(json.loads(make_plan().to_json()) | damaged)


@pytest.mark.slow
def test_resuming_keeps_what_was_said(home, tmp_path, file):
    said = ("--space", str(file), "--set", "depth=2:4", "dropout=0.2")
    made = plan(home, *said)
    (tmp_path / made.sweep).mkdir()
    made.save(tmp_path / made.sweep / "plan.json")
    file.unlink()
    again = parse(["linformer", "--home", str(tmp_path), "--resume"])
    assert again.plan(locate("digits", home / "data")) == made
    changed = parse(["linformer", "--home", str(tmp_path), "--resume", "--set", "depth=2:3"])
    assert made.differences(changed.plan(locate("digits", home / "data"))) != []


def test_a_space_of_ones_own(home, file):
    made = plan(home, "--space", str(file))
    assert made.searched.params["depth"] == Integer(2, 3)
    assert made.searched.model == "linformer"
    assert made.searched.conditional.keys() == {"gamma", "step_size"}
    file.write_text(SMALL.replace("Integer(2, 3)", "Integer(2, 4)"))
    changed = plan(home, "--space", str(file))
    differences = made.differences(changed)
    assert any(d.startswith("own_space.params.depth: was ") for d in differences)
    assert made.differences(replace(made)) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"depth"', '"dpth"', "linformer has no parameter 'dpth'; did you mean 'depth'?"),
        (
            "SPACE = Space(",
            'SPACE = Space(model="vit",',
            "its model is 'vit', and that of linformer",
        ),
        ("Integer(2, 3)", "Integer(3, 2)", "mine.py:6: Integer: the range 3 to 2 is empty"),
        ('"k_dim": 16', '"k_dim": 900', "k_dim=900 must lie between 1 and"),
        ('"dim": 64, ', "", "dim"),
        ("fixed=", 'conditions={"depth": (In("hds", (2,)),)}, fixed=', "no parameter 'hds'"),
        ('"dim": 64, ', '"dim": 64, "qkv_bias": True, ', "'qkv_bias'"),
        ("Choice((2, 4))", "Choice((2, 5))", "heads=5 must divide dim=64"),
        ("SPACE", "SPICE", "mine.py: SPACE must be a Space, and there is none"),
    ],
)
def test_mistakes_in_a_space_of_ones_own(home, file, old, new, said):
    file.write_text(SMALL.replace(old, new))
    with pytest.raises(BadRequestError) as caught:
        request(home, "--space", str(file))
    assert said in str(caught.value)


def test_a_missing_rule_is_told(home, file):
    """16 heads fit one of the widths."""
    text = SMALL.replace('"dim": 64, ', "").replace('"depth"', '"dim": Choice((64, 72)), "depth"')
    file.write_text(text.replace("Choice((2, 4))", "Choice((1, 16))"))
    with pytest.raises(BadRequestError, match=r"heads=16 must divide dim=72"):
        request(home, "--space", str(file))


def test_nothing_said_is_the_variants_space(home):
    made = plan(home)
    assert (made.domains, made.own_space) == ({}, {})
    assert made.searched == spaces.load("linformer")
