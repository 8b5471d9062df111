"""`--published only`: a paper's rows, exactly those, beside the print."""

import json

import pytest

import spaces
from search.opening import study_of
from search.plan import Plan
from search.published_space import beside, rows_only
from search.quantities import Quantities
from search.record import State, config_hash
from search.request import parse
from search.sampling import create
from trainables.data import locate
from trainables.errors import BadRequestError


def opened(plan):
    study = study_of(create("sweep", plan.directions, None), plan, Quantities())
    study.enqueue({point.address: point.params for point in plan.searched.published})
    return study


def trained(study):
    while (record := study.next()) is not None:
        for epoch in range(1, 4):
            assert not study.report(record.key, epoch, {"valid_top1": 0.5}), "none is ended early"
        study.finish(record.key, State.COMPLETE, metrics={"valid_top1": 0.5})


def test_exactly_the_rows_are_trained(make_plan):
    plan = make_plan(sampler="published", pruner=None, trials=None, settings={}, image_size=224)
    study = opened(plan)
    trained(study)
    space = plan.searched
    rows = [point.params for point in spaces.load("linformer").published]
    alike = {config_hash(space.effective({**space.fixed, **row})) for row in rows}
    assert {config_hash(record.params) for record in study.accepted} == alike
    assert len(study.accepted) == len(alike) < len(rows), (
        "some columns are runs of one configuration"
    )
    printed = {point.address: point.params for point in spaces.load("linformer").published}
    for record in study.accepted:
        assert record.params == space.effective({**space.fixed, **printed[record.published]})
    assert study.gave_up.startswith("every published row that can be built at this image size")
    assert study.gave_up.endswith(f": {len(alike)}")
    assert "not tried" not in next(
        list(column.cells)
        for column in beside(study.accepted, space).columns
        if column.header == "trial"
    )
    assert study.exhausted
    assert not study.unfinished


def test_a_constant_is_the_same_in_all_rows(make_plan):
    plan = make_plan(
        sampler="published", pruner=None, trials=None, settings={"lr": 0.01, "grid": 7}
    )
    study = opened(plan)
    trained(study)
    assert {(r.params["lr"], r.params["grid"]) for r in study.accepted} == {(0.01, 7)}


@pytest.mark.parametrize("variant", ["vit", "vit_base", "hydra", "evit"])
def test_rows_lie_in_their_space(variant):
    space = rows_only(spaces.load(variant), ())
    assert all(not space.outside(space.effective(point.params)) for point in space.published)


def test_numbers_stand_beside_the_print(make_plan):
    plan = make_plan(sampler="published", pruner=None, trials=None, settings={}, image_size=224)
    study = opened(plan)
    record = study.next()
    study.report(record.key, 1, {"valid_top1": 0.75})
    table = beside(study.accepted, plan.searched)
    columns = {column.header: list(column.cells) for column in table.columns}
    place = columns["trial"].index(record.key)
    point = plan.searched.published[place]
    assert columns["published row"][place] == point.address == record.published
    assert columns["valid_top1 printed"][place] == f"{100 * point.results['valid_top1']:.2f} %"
    assert columns["valid_top1 here"][place] == "75.00 %"
    assert columns["trial"].count("not tried") == len(plan.searched.published) - 1


def test_the_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    request = parse(["linformer", "--published", "only"])
    assert (request.sampler, request.published) == ("published", None)
    with pytest.raises(BadRequestError, match="--sampler tpe has no place there"):
        parse(["linformer", "--published", "only", "--sampler", "tpe"])
    with pytest.raises(BadRequestError, match="--published must be a whole number"):
        parse(["linformer", "--published", "all"])


def test_the_plan_has_no_limits_but_those_that_are_given(tmp_path, digits_home):
    arguments = ["linformer", "--home", str(tmp_path / "home"), "--published", "only"]
    dataset = locate("digits", digits_home / "data")
    plan = parse(arguments).plan(dataset)
    assert (plan.trials, plan.limits) == (None, {})
    assert Plan.of(json.loads(plan.to_json())) == plan
    assert parse([*arguments, "--max-gflops", "1"]).plan(dataset).limits == {"gflops": 1.0}
