"""Numbers as people write them."""

import pytest

from search.units import amount


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("2.5e6", 2.5e6),
        ("5M", 5e6),
        ("2GB", 2e9),
        ("2 GiB", 2 * 2**30),
        ("1.5k", 1500),
        ("1tib", 2**40),
    ],
)
def test_amounts(text, value):
    assert amount(text) == value


@pytest.mark.parametrize("text", ["", "many", "-5M", "5X", "5 M M", "2i", "2iB"])
def test_what_is_no_amount(text):
    with pytest.raises(ValueError, match=r"no amount|could not convert"):
        amount(text)
