import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.pareto import front, ranking

_VALUES = st.one_of(
    st.none(),
    st.just(math.nan),
    st.integers(-3, 3).map(float),
    st.floats(allow_nan=False),
)


@st.composite
def _clouds(draw: st.DrawFn):
    better = draw(st.lists(st.sampled_from(["min", "max"]), min_size=1, max_size=4))
    point = st.tuples(*[_VALUES] * len(better))
    return draw(st.lists(point, max_size=25)), better


def _by_definition(points, better):
    def known(point):
        return all(value is not None and not math.isnan(value) for value in point)

    def beats(one, other):
        no_worse = all(
            a <= b if word == "min" else a >= b
            for a, b, word in zip(one, other, better, strict=True)
        )
        return no_worse and one != other

    return [
        index
        for index, point in enumerate(points)
        if known(point) and not any(known(rival) and beats(rival, point) for rival in points)
    ]


@settings(deadline=None)  # no test asserts a time
@given(_clouds())
def test_front_is_the_definition(cloud):
    points, better = cloud
    assert front(points, better) == _by_definition(points, better)


def test_front_keeps_duplicates_and_drops_unknowns():
    points = [(1.0, 0.9), (1.0, 0.9), (2.0, 0.9), (None, 1.0), (0.5, math.nan), (0.1, 0.2)]
    assert front(points, ("min", "max")) == [0, 1, 5]


def test_front_refuses_what_it_cannot_compare():
    with pytest.raises(ValueError, match="unknown direction neither"):
        front([(1.0,)], ["neither"])  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="point 1 has 1 values for 2 objectives"):
        front([(1.0, 2.0), (1.0,)], ("min", "min"))


def _trial(key, accuracy, state="complete", params: float | None = 1000.0):
    return {"trial_key": key, "best_valid_top1": accuracy, "state": state, "params": params}


def test_ranking_is_of_complete_trials_and_ties_go_to_the_smaller_model():
    trials = [
        _trial("big", 0.9, params=2000.0),
        _trial("stopped", 0.99, state="stopped"),
        _trial("nan", math.nan),
        _trial("small", 0.9),
        _trial("uncounted", 0.9, params=None),
        _trial("top", 0.95),
    ]
    assert [trial["trial_key"] for trial in ranking(trials)] == ["top", "small", "big", "uncounted"]


def test_ranking_takes_every_state_while_no_trial_is_complete():
    trials = [_trial("a", 0.5, state="stopped"), _trial("b", 0.7, state="running")]
    assert [trial["trial_key"] for trial in ranking(trials)] == ["b", "a"]
