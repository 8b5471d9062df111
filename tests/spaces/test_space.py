"""Domains, the rules between them, and what a space does with values given to it."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import spaces
from spaces.rules import AtMost, Divides
from spaces.space import Choice, Domain, Integer, Real, Space

SPACE = Space(
    params={
        "grid": Choice((2, 4, 7)),
        "depth": Integer(1, 3),
        "dim": Integer(8, 32, step=8),
        "heads": Choice((2, 3)),
        "k_dim": Integer(1, 60, log=True),
        "lr": Real(1e-4, 1e-2, log=True),
    },
    fixed={"dropout": 0.1},
    rules=(Divides("grid", "image_size"), Divides("heads", "dim"), AtMost("k_dim", "tokens")),
)
GOOD = {"grid": 4, "depth": 2, "dim": 16, "heads": 2, "k_dim": 17, "lr": 1e-3}

steps = st.integers(1, 50)
whole = st.integers(-1000, 1000)
above_zero = st.integers(1, 1000)
real = st.floats(-1e6, 1e6)
positive = st.floats(1e-9, 1e6)
domains = st.one_of(
    st.builds(lambda low, n, step: Integer(low, low + n * step, step), whole, steps, steps),
    st.builds(lambda low, n: Integer(low, low + n, log=True), above_zero, steps),
    st.tuples(real, real).map(lambda ends: Real(min(ends), max(ends))),
    st.tuples(positive, positive).map(lambda ends: Real(min(ends), max(ends), log=True)),
    st.lists(st.integers() | st.booleans() | st.text(), min_size=1, unique_by=repr).map(
        lambda values: Choice(tuple(values))
    ),
)


@pytest.mark.slow
@settings(deadline=None)  # no test asserts a time
@given(domains, st.integers(0, 2**32))
def test_a_draw_lies_in_its_domain(domain: Domain, seed: int):
    value = domain.draw(random.Random(seed))
    assert domain.contains(value), f"{value!r} is outside {domain}"
    assert domain.draw(random.Random(seed)) == value


@settings(deadline=None)  # no test asserts a time
@given(domains.filter(lambda domain: domain.size < 200))
def test_size_is_the_number_of_values(domain: Integer | Real | Choice):
    if isinstance(domain, Integer):
        candidates = set(range(domain.low - 2, domain.high + 3))
    elif isinstance(domain, Real):
        candidates = {domain.low, domain.high}
    else:
        candidates = domain.values
    inside = [value for value in candidates if domain.contains(value)]
    assert len(inside) == domain.size


@pytest.mark.parametrize("domain", [Integer(1, 64, log=True), Integer(1, 9), Choice((1, "a"))])
def test_draws_reach_every_value(domain: Domain):
    rng = random.Random(0)
    assert len({domain.draw(rng) for _ in range(3000)}) == domain.size


def test_logarithmic_draws_are_even_on_a_logarithmic_scale():
    rng = random.Random(0)
    for domain in (Real(1e-6, 1.0, log=True), Integer(1, 10**6, log=True)):
        middle = math.sqrt(domain.low * domain.high)
        below = sum(domain.draw(rng) < middle for _ in range(2000))
        assert 900 < below < 1100


@pytest.mark.parametrize(
    ("domain", "inside", "outside"),
    [
        (Integer(2, 8, step=3), (2, 5, 8), (1, 3, 11, 5.0, True, "5", None)),
        (Integer(0, 3), (0, 1), (False, True, -1, 4)),
        (Real(1e-3, 1), (1e-3, 0.5, 1, 1.0), (0, 1.0001, math.nan, math.inf, True, "0.5")),
        (Choice((False, True)), (False, True), (0, 1, None)),
        (Choice((1, 2)), (1, 2), (True, 1.0, 3)),
        (Choice(("a", "b")), ("a",), ("c", ["a"])),
    ],
)
def test_what_is_contained(domain: Domain, inside, outside):
    assert [value for value in inside if not domain.contains(value)] == []
    assert [value for value in outside if domain.contains(value)] == []


def test_sizes():
    assert [Integer(2, 12).size, Integer(64, 768, step=64).size] == [11, 12]
    assert [Choice((1, 2, 4)).size, Real(3, 3).size, Real(0, 1).size] == [3, 1, math.inf]
    assert SPACE.size == math.inf
    assert Space(params={"a": Integer(1, 3), "b": Choice((1, 2))}).size == 6


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Integer(5, 4), "range 5 to 4 is empty: its low end is above its high end"),
        (lambda: Integer(1, 8, step=2), "step 2 does not lead from 1 to 8"),
        (lambda: Integer(1, 8, step=0), "step 0 does not lead from 1 to 8"),
        (lambda: Integer(0, 8, log=True), "must begin above 0, given 0"),
        (lambda: Integer(2, 8, step=2, log=True), "logarithmic Integer has step 1"),
        (lambda: Real(1, 0.5), "range 1 to 0.5 is empty"),
        (lambda: Real(0, 1, log=True), "must begin above 0, given 0"),
        (lambda: Real(0, math.inf), "finite ends, given 0 to inf"),
        (lambda: Real(math.nan, 1), "finite ends, given nan to 1"),
        (lambda: Choice(()), "at least one value"),
        (lambda: Choice((1, 2, 1)), r"names each value once, given \(1, 2, 1\)"),
        (lambda: Space(params={"a": Real(0, 1)}, fixed={"a": 1}), "searched and fixed at once: a"),
    ],
)
def test_bad_ranges_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_space_that_keeps_its_rules():
    assert SPACE.broken(GOOD, 56) == []
    assert SPACE.outside(GOOD) == []


def test_broken_names_each_rule_with_its_values():
    broken = SPACE.broken(GOOD | {"grid": 7, "heads": 3, "k_dim": 51}, 52)
    assert broken == [
        "grid divides image_size (grid=7, image_size=52)",
        "heads divides dim (heads=3, dim=16)",
        "k_dim is at most tokens (k_dim=51, tokens=50)",
    ]


def test_rules_between_quantities_that_are_not_given_are_not_judged():
    assert SPACE.broken({"heads": 3}, 56) == []


def test_outside_names_every_value():
    wrong = SPACE.outside({"grid": 3, "depth": 2, "dim": 20, "heads": 2, "lr": 1.0, "width": 8})
    assert wrong == [
        "grid=3 is not one of 2, 4, 7",
        "dim=20 is not 8 to 32 in steps of 8",
        "lr=1.0 is not 0.0001 to 0.01",
        "k_dim is missing",
        "width is not searched",
    ]


def test_draw_has_every_parameter_and_the_constants():
    drawn = SPACE.draw(random.Random(0))
    assert drawn.keys() == SPACE.params.keys() | {"dropout"}
    assert drawn["dropout"] == 0.1
    assert SPACE.outside({name: drawn[name] for name in SPACE.params}) == []


def test_fix_holds_values_constant():
    fixed = SPACE.fix({"depth": 2, "dropout": 0.0})
    assert "depth" not in fixed.params
    assert fixed.fixed == {"depth": 2, "dropout": 0.0}
    assert fixed.rules == SPACE.rules
    assert "depth" in SPACE.params


def test_fixing_patch_replaces_grid_and_back():
    by_patch = SPACE.fix({"patch": 8})
    assert "grid" not in by_patch.params
    assert by_patch.quantities({}, 56)["grid"] == 7
    assert by_patch.quantities({}, 56)["tokens"] == 50
    assert by_patch.broken({"k_dim": 50}, 56) == []
    assert by_patch.broken({"k_dim": 51}, 56) == ["k_dim is at most tokens (k_dim=51, tokens=50)"]
    again = by_patch.fix({"grid": 4})
    assert again.fixed == {"dropout": 0.1, "grid": 4}
    assert again.rules == SPACE.rules


@pytest.mark.parametrize("patch", [12, 15, 60])
def test_a_patch_that_does_not_divide_the_image_breaks_the_rule(patch):
    # 56 // 12 = 4 divides 56, although a patch of 12 px does not
    broken = SPACE.fix({"patch": patch}).broken({}, 56)
    assert broken == [f"patch divides image_size (patch={patch}, image_size=56)"]


def test_a_fixed_value_is_judged_by_the_rules():
    assert SPACE.fix({"heads": 3}).broken({"dim": 16}, 56) == [
        "heads divides dim (heads=3, dim=16)"
    ]


def test_loading_by_name():
    assert {"linformer", "vit"} <= set(spaces.names())
    for name in spaces.names():
        assert isinstance(spaces.load(name), Space)


@pytest.mark.parametrize(("given", "meant"), [("linformr", "linformer"), ("vitt", "vit")])
def test_an_unknown_name_is_told_the_nearest(given, meant):
    with pytest.raises(ValueError, match=f"{given!r}; did you mean {meant!r}") as caught:
        spaces.load(given)
    assert all(name in str(caught.value) for name in spaces.names())


def test_a_name_far_from_all_is_told_what_there_is():
    with pytest.raises(ValueError, match=r"unknown variant 'xyzzy' \(variants: .*linformer"):
        spaces.load("xyzzy")
