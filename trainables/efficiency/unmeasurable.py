"""What cannot be measured is an empty value with a reason; the other measurements go on."""

from collections.abc import Callable
from typing import TypeVar

from trainables.shortage import out_of_memory

Value = TypeVar("Value")


class UnmeasurableError(Exception):
    """The machine offers no way to measure this; the message says why."""


def attempt(
    measurement: Callable[[], Value], reasons: dict[str, str], *fields: str
) -> Value | None:
    """Do a measurement; if it fails, return None and note the reason for each of `fields`."""
    try:
        return measurement()
    except UnmeasurableError as error:
        reason = str(error)
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        reason = f"out of memory ({error})"
    reasons |= dict.fromkeys(fields, reason)
    return None
