"""New configurations: whole, allowed, and never twice."""

import itertools
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.feasibility import Feasibility
from search.samplers.candidates import Candidates, given_up
from spaces.rules import AtMost, Divides
from spaces.space import Choice, Integer, Real, Space

SPACE = Space(
    params={
        "dim": Integer(8, 64, step=8),
        "heads": Choice((1, 2, 3, 4)),
        "depth": Integer(1, 12),
        "lr": Real(1e-5, 1e-1, log=True),
        "kind": Choice(("a", "b", "c")),
        "flag": Choice((True, False)),
        "one": Choice(("only",)),
        "same": Real(0.5, 0.5),
    },
    fixed={"dropout": 0.1},
    rules=(Divides("heads", "dim"), AtMost("depth", "dim")),
)
FINITE = Space(params={"a": Choice(("x", "y", "z")), "b": Integer(1, 4)}, fixed={"c": 1})


def pool(space=SPACE, known=(), seed="0"):
    return Candidates(Feasibility(space, 224), known, seed)


def identities(found):
    return [tuple(sorted(params.items(), key=str)) for params in found]


def assert_sound(found, space=SPACE):
    for params in found:
        assert params.keys() == {*space.params, *space.fixed}
        assert all(domain.contains(params[name]) for name, domain in space.params.items())
        assert space.broken(params, 224) == []
    assert len(set(identities(found))) == len(found)


@given(st.integers(), st.floats(0.01, 0.5))
@settings(max_examples=25, deadline=None)
def test_all_are_whole_allowed_and_new(seed, scale):
    candidates = pool(seed=str(seed))
    drawn = candidates.fresh(40)
    assert len(drawn) == 40
    near = candidates.near(drawn[:5], 8, scale)
    assert near
    assert_sound(drawn + near + list(itertools.islice(candidates.on_grid(), 30)))


def test_what_is_known_is_not_given_again():
    known = pool().fresh(20)
    again = pool(known=known).fresh(20)
    assert not set(identities(known)) & set(identities(again))
    assert_sound(known + again)


def test_one_seed_one_sequence():
    assert pool(seed="1 2").fresh(10) == pool(seed="1 2").fresh(10)
    assert pool(seed="1 2").fresh(10) != pool(seed="1 3").fresh(10)


@pytest.mark.parametrize("count", [5, 12, 300])
def test_a_finite_space_is_given_to_its_last_and_no_further(count):
    candidates = pool(FINITE)
    found = []
    while more := candidates.fresh(count):
        found += more
    assert_sound(found, FINITE)
    assert len(found) == 12
    assert candidates.near(found, 5, 0.3) == []
    assert list(candidates.on_grid()) == []


def test_the_last_of_a_finite_space_is_found_among_all_that_are_known():
    space = Space(params={"a": Integer(1, 100), "b": Integer(1, 100)})
    known = [{"a": a, "b": b} for a in range(1, 101) for b in range(1, 101) if (a, b) != (37, 59)]
    start = time.process_time()
    assert pool(space, known).fresh(5) == [{"a": 37, "b": 59}]
    assert time.process_time() - start < 5


def test_no_limit_is_counted_for_candidates():
    """A costly quantity of each configuration of a finite space would take hours."""

    def never(_):
        raise AssertionError("counted")

    limits = {"cost": (never, 1.0)}
    assert len(Candidates(Feasibility(FINITE, 224, limits), (), "0").fresh(20)) == 12


@pytest.mark.parametrize("space", ["small", "large"])
def test_one_in_a_hundred_is_found_in_seconds(space):
    """Rules that a hundredth keeps; the large space cannot be enumerated."""
    more = {"lr": Real(0, 1)} if space == "large" else {}
    found_in = Space(
        params={"a": Integer(1, 400), "b": Integer(100, 139), **more},
        rules=(Divides("b", "a"),),
    )
    start = time.process_time()
    found = pool(found_in).fresh(100)
    assert time.process_time() - start < 5
    assert_sound(found, found_in)
    assert len(found) >= 50


def test_moves_are_small_and_change_something():
    space = Space(params={"x": Real(0, 1), "y": Real(1e-6, 1, log=True), "n": Integer(1, 100)})
    centre = {"x": 0.5, "y": 1e-3, "n": 10}
    found = pool(space).near([centre], 200, 0.02)
    assert_sound(found, space)
    assert all(params != centre for params in found)
    assert all(abs(params["x"] - 0.5) < 0.15 for params in found)
    assert all(1e-4 < params["y"] < 1e-2 for params in found), "a log domain is moved in by factors"
    assert any(params["n"] != 10 for params in found)


def test_a_grid_has_the_ends_and_the_middle_first():
    space = Space(params={"x": Real(0, 1), "k": Choice(("a", "b"))})
    found = list(itertools.islice(pool(space).on_grid(), 6))
    assert {(p["x"], p["k"]) for p in found} == set(itertools.product((0, 0.5, 1), "ab"))
    finer = list(itertools.islice(pool(space, found).on_grid(), 4))
    assert {p["x"] for p in finer} == {0.25, 0.75}


def test_the_nearest_refusal_is_said():
    space = Space(params={"n": Integer(1, 5)})
    limits = {"n": (lambda params: params["n"], 0.5)}
    assert given_up(Feasibility(space, 1, limits), {}, 0) == (
        "none was found that is new and keeps all limits (n 1 exceeds the limit 0.5); "
        "loosen the limit or widen the space",
        False,
    )
    assert "(" not in given_up(Feasibility(space, 1), {}, 0)[0]
    assert given_up(Feasibility(space, 1), {}, 5) == ("every configuration was tried: 5", True)
    never = Space(params={"n": Integer(5, 6), "m": Integer(7, 9)}, rules=(Divides("n", "m"),))
    assert "n divides m" in given_up(Feasibility(never, 1), {}, 0)[0]
