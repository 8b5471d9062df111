from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trainables.efficiency import batch_limit
from trainables.efficiency.batch_limit import largest_batch, sizes_near


@pytest.fixture(scope="module", autouse=True)
def no_collection():
    """A collection of this process's garbage takes a tenth of a second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batch_limit, "gc", SimpleNamespace(collect=lambda: None))
        yield


class Device:
    """Runs batches of up to `holds` images; remembers what it was asked."""

    def __init__(self, holds, error=torch.OutOfMemoryError):
        self.holds, self.error, self.asked = holds, error, []

    def __call__(self, batch_size):
        self.asked.append(batch_size)
        if batch_size > self.holds:
            raise self.error("too much")


@settings(deadline=None)  # no test asserts a time
@given(holds=st.integers(1, 10**6), most=st.integers(1, 2**17))
def test_finds_the_limit_to_a_few_percent_in_few_tries(holds, most):
    device = Device(holds)
    found = largest_batch(device, most=most).batch_size
    limit = min(holds, most)
    assert limit - max(1, 0.03 * limit) <= found <= limit
    assert found in device.asked
    assert max(device.asked) <= most
    assert len(device.asked) <= 2 + most.bit_length() + 6


def test_small_limits_are_exact():
    for holds in range(1, 30):
        assert largest_batch(Device(holds)).batch_size == holds


def test_the_reason_names_the_smallest_size_that_failed():
    device = Device(100)
    found = largest_batch(device)
    smallest = min(size for size in device.asked if size > 100)
    assert found.reason == f"out of memory at batch size {smallest}"
    assert largest_batch(Device(100), most=64) == (64, "64 images are the most to be tried")


def test_a_model_that_never_fits():
    assert largest_batch(Device(0)) == (0, "out of memory at batch size 1")


def test_another_failure_of_a_larger_size_is_a_limit_too():
    found = largest_batch(Device(10, lambda _: RuntimeError("canUse32BitIndexMath")))
    assert found == (10, "batch size 11 failed: canUse32BitIndexMath")


@pytest.mark.parametrize("error", [RuntimeError, ValueError])
def test_an_error_of_the_model_itself_is_raised(error):
    with pytest.raises(error, match="too much"):
        largest_batch(Device(0, error))


def test_memory_of_a_failed_size_is_given_back(monkeypatch):
    events = []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: events.append("emptied"))
    monkeypatch.setattr(batch_limit.gc, "collect", lambda: events.append("collected"))
    assert largest_batch(Device(1)).batch_size == 1
    assert events == ["collected", "emptied"]


@pytest.mark.parametrize("wrong", [{"most": 0}, {"tolerance": 0}])
def test_wrong_limits(wrong):
    with pytest.raises(ValueError, match="both must be positive"):
        largest_batch(Device(1), **wrong)


def test_sizes_near_the_limit():
    assert sizes_near(1000) == (624, 736, 864, 992, 1000)
    assert sizes_near(64) == (32, 48, 64)
    assert sizes_near(3) == (1, 2, 3)
    assert sizes_near(0) == ()


@settings(deadline=None)  # no test asserts a time
@given(st.integers(1, 10**6))
def test_sizes_near_a_limit_do_not_exceed_it(limit):
    sizes = sizes_near(limit)
    assert list(sizes) == sorted(set(sizes))
    assert sizes[-1] == limit
    assert sizes[0] >= 1
