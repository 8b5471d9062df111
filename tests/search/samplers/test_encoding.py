"""Parameters as points of a unit cube."""

import numpy as np
import pytest

from search.samplers.encoding import Encoding
from spaces.space import Choice, Integer, Real, Space


def encoded(domain, *values):
    return Encoding(Space(params={"x": domain}))([{"x": value} for value in values])


@pytest.mark.parametrize(
    ("domain", "values", "places"),
    [
        (Real(-1, 1), (-1, 0, 1), (0, 0.5, 1)),
        (Real(1e-4, 1, log=True), (1e-4, 1e-2, 1), (0, 0.5, 1)),
        (Real(1, 100), (1, 10, 100), (0, 0.5, 1)),  # a factor of eight and more
        (Real(1, 4), (1, 2.5, 4), (0, 0.5, 1)),
        (Real(0, 100), (0, 50, 100), (0, 0.5, 1)),
        (Integer(1, 5), (1, 3, 5), (0, 0.5, 1)),
        (Integer(16, 256), (16, 64, 256), (0, 0.5, 1)),
        (Choice((4, 1, 16)), (1, 4, 16), (0, 0.5, 1)),
        (Choice(("a", "b")), ("a", "b"), (0, 1)),
        (Choice((True, False)), (True, False), (0, 1)),
        (Choice(("only",)), ("only",), (0.5,)),
        (Integer(3, 3), (3,), (0.5,)),
        (Real(0.5, 0.5), (0.5,), (0.5,)),
    ],
)
def test_one_column_from_0_to_1(domain, values, places):
    assert encoded(domain, *values) == pytest.approx(np.array(places)[:, None])


def test_words_are_at_equal_distances():
    rows = encoded(Choice(("a", "b", "c")), "a", "b", "c")
    assert rows.shape == (3, 3)
    distances = np.linalg.norm(rows[:, None] - rows[None], axis=2)
    assert distances == pytest.approx(1 - np.eye(3))


def test_columns_stand_in_the_order_of_the_space():
    space = Space(params={"x": Real(0, 1), "k": Choice(("a", "b", "c")), "y": Real(0, 2)})
    encoding = Encoding(space)
    assert encoding.width == 5
    rows = encoding([{"y": 2.0, "k": "b", "x": 0.25, "more": 1}])
    assert rows == pytest.approx(np.array([[0.25, 0, np.sqrt(0.5), 0, 1]]))
    assert encoding([]).shape == (0, 5)


def test_what_has_no_effect_stands_in_the_middle():
    space = Space(params={"x": Real(0, 1), "k": Choice(("a", "b", "c"))})
    assert Encoding(space)([{}]) == pytest.approx(np.full((1, 4), 0.5))


def test_a_space_of_constants_has_no_columns():
    encoding = Encoding(Space(params={}, fixed={"a": 1}))
    assert encoding([{"a": 1}]).shape == (1, encoding.width) == (1, 0)
