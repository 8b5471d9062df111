"""What a sweep is: kept, compared, and checked before anything starts."""

import dataclasses
import json
import re

import pytest

import spaces
from search.plan import QUICK, Plan, name_mistakes
from search.settings import described, fitting_size, searched, setting_mistakes
from spaces.rules import AtMost, Divides
from spaces.space import Choice, Integer, Real, Space
from trainables import models
from trainables.config import TrialConfig

PARAMS = {"grid": 7, "depth": 6, "dim": 64, "heads": 4, "k_dim": 16, "lr": 0.001}


def mistakes(size=56, /, variant="linformer", **settings):
    return setting_mistakes(variant, settings, size)


def test_saved_and_loaded(make_plan, tmp_path):
    plan = make_plan(settings={"grid": 7, "shared_kv": True, "lr": 3e-4}, limits={"gflops": 0.125})
    plan.save(tmp_path / "plan.json")
    assert Plan.load(tmp_path / "plan.json") == plan
    assert [path.name for path in tmp_path.iterdir()] == ["plan.json"], "no draft is left"


def test_its_space_is_built_once(make_plan, monkeypatch):
    plan = make_plan()
    space = plan.searched
    monkeypatch.setattr(spaces, "load", None)
    assert plan.searched is space
    assert plan == make_plan(), "what is kept is no part of the plan"
    assert "searched" not in plan.to_json()


def test_people_see_the_data_set_by_its_name(make_plan):
    shown = make_plan().shown(PARAMS)
    assert (shown["data"], shown["depth"], shown["epochs"]) == ("tiny", "6", "3")
    assert shown.keys() == make_plan().flat(PARAMS).keys()


def test_an_equal_plan_has_no_differences(make_plan):
    assert make_plan().differences(make_plan()) == []


def test_every_difference_is_shown_with_both_values(make_plan):
    changed = make_plan(seed=1, epochs=5, settings={"grid": 14}, data_sha256="e" * 64)
    assert make_plan().differences(changed) == [
        f"data_sha256: was {'d' * 64!r}, now {'e' * 64!r}",
        "epochs: was 3, now 5",
        "seed: was 0, now 1",
        "settings: was {'grid': 7}, now {'grid': 14}",
    ]


def test_what_may_change(make_plan):
    free = {"trials": 99, "published": 3, "data": "/elsewhere"}
    free |= {
        "total_epochs": 7,
        "sampler": "tpe",
        "pruner": "median",
        "repeats": 3,
        "warm_start": ("a",),
    }
    free |= {"hours": 1.5, "gpu_hours": 8.0, "target": 0.95, "until_settled": True}
    assert make_plan().differences(make_plan(**free)) == []
    others = {field.name for field in dataclasses.fields(Plan)} - free.keys()
    for name in others - {"settings"}:
        (difference,) = make_plan().differences(make_plan(**{name: "changed"}))
        assert difference.startswith(f"{name}: was ")


def test_a_changed_space_is_a_difference(make_plan):
    space = spaces.load("linformer")
    before, now = (make_plan(space=described(s)) for s in (space, space.fix({"depth": 4})))
    (difference,) = before.differences(now)
    assert "depth 4 to 12" in difference


def test_a_space_is_described_by_its_domains_and_rules():
    space = Space(
        params={
            "width": Integer(8, 64, step=8),
            "depth": Integer(1, 3),
            "lr": Real(1e-4, 0.1, log=True),
            "kind": Choice(("a", "b")),
        },
        rules=(Divides("heads", "width"), AtMost("depth", "width")),
    )
    assert described(space) == (
        "depth 1 to 3; kind one of a, b; lr 0.0001 to 0.1; width 8 to 64 in steps of 8; "
        "heads divides width; depth is at most width"
    )


def test_a_trial_gets_the_plan_and_its_parameters(make_plan):
    flat = make_plan(epochs=5, patience=4, seed=8).flat(PARAMS)
    config = TrialConfig.from_flat(flat)
    assert (config.task.model, config.task.data) == ("linformer", "/data/tiny")
    assert (config.task.epochs, config.task.patience, config.task.seed) == (5, 4, 8)
    assert (config.recipe.lr, config.params["depth"]) == (0.001, 6)


@pytest.mark.parametrize("name", ["a", "linformer-digits-56px", "_x.y", "A1", "x" * 64])
def test_good_names(name):
    assert name_mistakes(name) == []


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../up", "a/b", "-rf", ".hidden", "a b", "it's", "é", "x" * 65, "a\n"],
)
def test_bad_names(name):
    (mistake,) = name_mistakes(name)
    assert repr(name) in mistake


@pytest.mark.parametrize("name", ["data", "reports", "mlflow-artifacts"])
def test_names_of_the_home_folder(name):
    assert "uses that name" in name_mistakes(name)[0]


@pytest.mark.slow
@pytest.mark.parametrize("size", [56, pytest.param(224, marks=pytest.mark.slow)])
@pytest.mark.parametrize("variant", spaces.names())
def test_every_space_can_be_searched_as_it_is(variant, size):
    given = {"weights": "random"} if variant == "vit_base" else {}  # there may be no network
    assert setting_mistakes(variant, given, fitting_size(variant, size)) == []


def test_the_next_size_that_a_variant_has():
    assert fitting_size("hydra", 56) == 56
    assert fitting_size("halonet", 56) == 64
    assert fitting_size("halonet", 224) == 224


def test_sizes_that_a_variant_does_not_have_are_answered_with_those_that_it_has():
    (mistake,) = setting_mistakes("halonet", {}, 112)
    assert "32 divides image_size (image_size=112)" in mistake
    assert "image sizes that work: 64, 96, 128, 192, 224, 256, 384" in mistake


@pytest.mark.parametrize(
    "settings",
    [
        {"depth": 6, "dim": 64, "heads": 4},
        {"patch": 7},
        {"grid": 14},
        {"lr": 0.001, "gamma": 0.5, "class_weights": "inverse"},
        {"lr": 1},
        {"shared_kv": True, "dropout": 0.0},
        {"heads": 1},
    ],
)
def test_good_settings(settings):
    assert mistakes(**settings) == []


def test_unknown_names_and_task_keys_are_all_told_with_the_nearest():
    found = mistakes(depht=3, epochs=5, zzz=1, model="vit")
    assert found == [
        "--set depht: no such parameter; did you mean 'depth'?",
        "--set epochs: this has an option of its own, see --help",
        "--set zzz: no such parameter",
        "--set model: this has an option of its own, see --help",
    ]


def test_patch_and_grid_say_the_same():
    (mistake,) = mistakes(patch=7, grid=8)
    assert "patch (pixels) and grid (patches per side) say the same" in mistake


def test_no_feasible_configuration():
    (mistake,) = mistakes(k_dim=400, grid=7)
    assert "no configuration at 56 px keeps the rules" in mistake
    assert "k_dim is at most tokens (k_dim=400, tokens=50)" in mistake


def test_an_image_size_that_no_patch_divides():
    (mistake,) = mistakes(57)
    assert "grid divides image_size" in mistake
    assert "image sizes that work: 56, 64, 96, 112, 128, 192, 224, 256, 384" in mistake


def test_a_patch_that_does_not_divide_names_sizes_where_it_does():
    (mistake,) = mistakes(56, patch=16)
    assert "patch divides image_size (patch=16, image_size=56)" in mistake
    assert mistake.endswith("image sizes that work: 64, 96, 112, 128, 192, 224, 256, 384")


@pytest.mark.parametrize(
    ("settings", "pattern"),
    [
        ({"depth": "deep"}, "depth must be int, given 'deep'"),
        ({"lr": True}, "lr must be float, given True"),
        ({"dim": 64.5}, "dim must be int, given 64.5"),
        ({"heads": "two"}, "heads must be int, given 'two'"),
        ({"patch": "seven"}, "patch must be int.*, given 'seven'"),
        ({"k_dim": float("nan")}, "k_dim must be int, given nan"),
        ({"batch_size": 1.5, "gamma": "x"}, "batch_size must be int.*gamma must be float"),
        ({"lr": float("nan")}, "lr must be a finite number above 0, given nan"),
        ({"heads": 0}, "heads must .*, given 0"),
        ({"grid": 0}, "grid"),
        ({"patch": 0}, "patch"),
        ({"depth": 10**8}, "depth must .*, given 100000000"),
        ({"dropout": 1.5}, "dropout"),
        ({"class_weights": "invers"}, "class_weights must be one of uniform, inverse"),
    ],
)
def test_values_that_cannot_be(settings, pattern):
    (mistake,) = mistakes(**settings)
    assert re.search(pattern, mistake), mistake


def test_the_quick_budget_fits_the_models():
    assert setting_mistakes("linformer", {}, QUICK.image_size) == []
    assert "linformer" in models.names()
    assert QUICK.trials >= 8


def test_a_recipe_decides_its_schedule_and_what_it_says_of_the_model():
    space = searched("vit", {"recipe": "deit3"})
    assert {"recipe": "deit3", "schedule": "cosine", "layer_scale": 1e-4}.items() <= (
        space.fixed.items()
    )
    assert "schedule" not in space.params
    assert {"lr", "weight_decay", "drop_path"} <= space.params.keys()  # searched on
    assert searched("vit", {"recipe": "deit3", "schedule": "step"}).fixed["schedule"] == "step"
    assert searched("vit", {}) == spaces.load("vit")


def test_a_first_stage_needs_a_size_that_holds_its_patches():
    space = searched("vit", {"pretrain_image_size": 192, "pretrain_epochs": 1})
    draw = {"depth": 1, "dim": 64, "heads": 1}
    assert not space.broken({**draw, "grid": 14}, 224)  # patches of 16 px
    assert space.broken({**draw, "grid": 8}, 224) == [
        "image_size over grid divides pretrain_image_size "
        "(grid=8, image_size=224, pretrain_image_size=192)"
    ]
    whole = searched("halonet", {"pretrain_image_size": 200})
    assert whole.broken({}, 224) == ["32 divides pretrain_image_size (pretrain_image_size=200)"]


def test_settings_of_a_recipe_that_is_none_are_told():
    (mistake,) = setting_mistakes("vit", {"recipe": "deit"}, 56)
    assert mistake.startswith("recipe must be one of deit3, ")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"epochs": "many"}, "epochs must be int, given 'many'"),
        ({"image_size": 56.5}, "image_size must be int"),
        ({"trials": True}, "trials must be int"),
        ({"limits": {"gflops": "1"}}, "limits: gflops must be a number"),
        ({"settings": [1]}, "settings must be an object"),
        ({"settings": {"grid": [7]}}, "grid must be a value"),
        ({"variant": "nonsense"}, "unknown variant 'nonsense'"),
        ({"nonsense": 1}, "a plan has no 'nonsense'"),
    ],
)
def test_a_saved_plan_of_wrong_types_is_refused(make_plan, tmp_path, changes, said):
    file = tmp_path / "plan.json"
    document = json.loads(make_plan().to_json())
    file.write_text(json.dumps(document))
    assert Plan.load(file) == make_plan()
    file.write_text(json.dumps(document | changes))
    with pytest.raises(ValueError, match=said):
        Plan.load(file)


@pytest.mark.parametrize("text", ["[]", "7", "null", '"x"', "{", "{}"])
def test_a_saved_plan_that_is_none(tmp_path, text):
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises(ValueError, match=r"no JSON object|Expecting|needs sweep"):
        Plan.load(tmp_path / "plan.json")
