"""The comparison of searchers measures what it says, on functions whose best is what they state."""

import itertools
import json
import math
import sys

import pyarrow.parquet as pq
import pytest

from search.simulation import Row
from tests.benchmarks import found, peers, search_quality
from tests.benchmarks.objectives import CHOOSING, FAMILIES, REPORTING, Objective
from tests.benchmarks.objectives.best import feasible_draws, front, pattern_search
from tests.benchmarks.objectives.digits import TABLE
from tests.benchmarks.objectives.limited import Limited
from tests.benchmarks.objectives.two_objectives import TwoObjectives
from tests.benchmarks.pareto import hypervolume, layers
from tests.benchmarks.peers.lanes import Job, simulated

TABLED = "digits"
SINGLE = [name for name, f in FAMILIES.items() if not f.reference and name != TABLED]
DRAWS = 2000


class Line(Objective):
    """The error is x whatever the epoch; above 0.9 lies what is not allowed."""

    name, max_epochs, best, noise = "line", 3, 0.1, 0.0

    @property
    def constraints(self):
        return {"x": (lambda params: params["x"], 0.9)}

    def true(self, params, epoch):  # noqa: ARG002
        return params["x"]


def history(*trials):
    """The epochs of trials `(x, last epoch)`, one after the other."""
    rows = [(number, {"x": x}, e) for number, (x, n) in enumerate(trials) for e in range(1, n + 1)]
    return [Row(t, number, x, epoch, {}) for t, (number, x, epoch) in enumerate(rows, start=1)]


def test_only_full_lengths_within_the_limits_count():
    told = found.summary(history((0.5, 3), (0.1, 2), (0.95, 3), (0.2, 3), (0.105, 3)), Line(0))
    assert told["found_after"] == 14
    assert told["progress"] == [[3, 0.4], [11, 0.1], [14, 0.005]]
    assert (told["epochs"], told["infeasible_epochs"]) == (14, 3)
    assert (told["trials"], told["full_length"]) == (5, 4)


def test_what_is_never_found_is_none():
    assert found.summary(history((0.12, 3), (0.1, 1)), Line(0))["found_after"] is None


def test_two_objectives_are_judged_by_the_share_of_the_hypervolume():
    assert hypervolume([(1, 3), (2, 2), (2.5, 2.5), (9, 0), (0, 9)], (4, 4)) == 3 + 2
    objective = TwoObjectives(0)
    draws = itertools.islice(feasible_draws(objective, 1), 40)
    rows = [Row(t, t, params, 27, {}) for t, params in enumerate(draws)]
    steps = found.progress(rows, objective)
    assert steps[0][0] <= 5
    assert [share for _, share in steps] == sorted(share for _, share in steps)
    objective.share = steps[3][1]  # type: ignore[misc]
    assert found.found_after(steps, objective) == steps[3][0]


def test_fronts_come_layer_by_layer():
    points = {0: (1.0, 3.0), 1: (3.0, 1.0), 2: (3.0, 3.0), 3: (4.0, 4.0), 4: (1.0, 3.0)}
    assert list(layers(points)) == [[0, 4, 1], [2], [3]]
    assert list(layers({0: (2.0,), 1: (1.0,)})) == [[1], [0]]


def test_a_cell_has_median_interval_and_hit_rate():
    runs = [{"found_after": n, "infeasible_epochs": 0} for n in (100, 200, 300, None)]
    assert found.cell(runs) == "250 [100, never] (0.75)"
    assert found.cell([runs[3]] * 3) == "never [never, never] (0.00)"
    assert found.cell([{"found_after": 7, "infeasible_epochs": 4}]) == (
        "7 [7, 7] (1.00), 4 infeasible"
    )


@pytest.mark.parametrize("function", [CHOOSING[0], REPORTING[0]])
@pytest.mark.parametrize("name", SINGLE)
def test_the_best_is_not_beaten_by_draws_and_reached_by_a_local_search(name, function):
    objective = FAMILIES[name](function)
    draws = list(itertools.islice(feasible_draws(objective, 7), DRAWS))
    scored = sorted((objective.true(p, objective.max_epochs), i) for i, p in enumerate(draws))
    assert scored[0][0] >= objective.best - 1e-6
    starts = [draws[i] for _, i in scored[:5]]
    least, params = min(
        (pattern_search(objective, start, objective.space.params) for start in starts),
        key=lambda found: found[0],
    )
    assert objective.best - 1e-6 <= least <= objective.best + objective.tolerance / 2
    assert objective.feasible(params)
    assert not objective.space.outside(params)


@pytest.mark.parametrize("function", [CHOOSING[0], REPORTING[0]])
def test_the_best_hypervolume_is_not_beaten_by_draws_and_nearly_reached(function):
    objective = TwoObjectives(function)
    assert objective.reference
    draws = itertools.islice(feasible_draws(objective, 7), DRAWS)
    log_gflops = objective.known["log_gflops"]
    points = [(objective.true(p, objective.max_epochs), log_gflops(p)) for p in draws]
    assert hypervolume(points, objective.reference) < objective.best
    reached = front(objective, depths=range(2, 13, 2), k_dims=(16, 64))
    assert 0.97 < hypervolume(reached, objective.reference) / objective.best <= 1 + 1e-6


def test_the_table_has_whole_curves_and_is_answered_where_it_was_recorded():
    rows = pq.read_table(TABLE).to_pylist()
    assert TABLE.stat().st_size < 2e6
    curves = {n: list(of) for n, of in itertools.groupby(rows, lambda row: row["configuration"])}
    assert len(curves) >= 150
    objective = FAMILIES[TABLED](0)
    for curve in curves.values():
        assert [row["epoch"] for row in curve] == list(range(1, objective.max_epochs + 1))
        params = {name: curve[0][name] for name in objective.space.params}
        assert not objective.space.outside(params)
        assert objective.true(params, 9) == pytest.approx(1 - curve[8]["valid_top1"], abs=1e-6)
    draws = itertools.islice(feasible_draws(objective, 7), DRAWS)
    assert min(objective.true(p, objective.max_epochs) for p in draws) == objective.best


def test_the_limit_is_nearly_reached_by_the_best():
    for function in (CHOOSING[0], REPORTING[0]):
        objective = Limited(function)
        start = next(feasible_draws(objective, 1))
        found = (
            pattern_search(objective, {**start, "depth": d, "dim": 64}, objective.space.params)
            for d in (2, 6, 12)
        )
        _, params = min(found, key=lambda pair: pair[0])
        assert objective.constraints["gflops"][0](params) > 0.6 * objective.limit


@pytest.mark.parametrize("name", [name for name in FAMILIES if name != TABLED])
def test_the_noise_is_small_and_always_the_same(name):
    objective, again = FAMILIES[name](1), FAMILIES[name](1)
    draws = list(itertools.islice(feasible_draws(objective, 3), 200))
    noise = [objective(p, 2)["error"] - objective.true(p, 2) for p in draws]
    assert noise == [again(p, 2)["error"] - again.true(p, 2) for p in draws]
    assert math.sqrt(sum(x * x for x in noise) / 200) == pytest.approx(objective.noise, rel=0.2)
    assert len(set(noise)) == 200


class Pausing:
    """Trains two trials in turns of one epoch."""

    def __init__(self):
        self.turns = iter([Job(0, {"x": 0}), Job(1, {"x": 1}), Job(0, {"x": 0}, epoch=2)])

    def ask(self):
        return next(self.turns, None)

    def tell(self, job, epoch, metrics):  # noqa: ARG002
        return False


def test_a_paused_trial_goes_on_where_it_was():
    rows = simulated(Pausing(), Line(0), budget_epochs=10, workers=1)
    assert [(row.time, row.trial, row.epoch) for row in rows] == [(1, 0, 1), (2, 1, 1), (3, 0, 2)]


@pytest.mark.parametrize("name", ["random_search", "one_epoch", "tpe", "ray_asha", "ours"])
def test_every_method_trains_epochs_in_order_within_the_budget(name):
    objective = FAMILIES["limited"](0)
    rows = peers.runner(name)(objective, seed=0, budget_epochs=90, workers=2)
    assert len(rows) == 90
    reached: dict[int, int] = {}
    for row in rows:
        assert row.epoch == reached.get(row.trial, 0) + 1
        assert row.metrics == objective(row.params, row.epoch)
        reached[row.trial] = row.epoch
    infeasible = sum(not objective.feasible(row.params) for row in rows)
    assert (infeasible > 0) == (name in ("tpe", "ray_asha"))


def test_what_cannot_run_says_why():
    assert peers.missing("ray_asha", FAMILIES["two_objectives"](0)) == "takes one objective only"
    with pytest.raises(ValueError, match="no method 'magic' "):
        peers.find("magic")


def test_a_run_that_the_file_has_is_not_made_again(tmp_path, monkeypatch, capsys):
    out = tmp_path / "runs.jsonl"
    arguments = ["", "--out", str(out), "--methods", "random_search", "--objectives", "flat"]
    monkeypatch.setattr(sys, "argv", [*arguments, "--seeds", "2", "--budget", "60"])
    search_quality.main()
    first, lines = capsys.readouterr().out, out.read_text().splitlines()
    assert [json.loads(line)["seed"] for line in lines] == [0, 1]
    out.write_text(f"{lines[0]}\n{lines[1][:40]}")  # cut off while it was written
    search_quality.main()
    assert capsys.readouterr().out == first
    assert out.read_text().splitlines()[0] == lines[0]
    assert len(search_quality.read(out)) == 2
