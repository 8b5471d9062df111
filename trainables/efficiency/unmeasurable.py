"""What cannot be measured is an empty value with its reason, never the end of everything."""

from collections.abc import Callable
from typing import TypeVar

from trainables.shortage import out_of_memory

Value = TypeVar("Value")


class UnmeasurableError(Exception):
    """The machine offers no way to measure this; the message says why."""


def attempt(
    measurement: Callable[[], Value], reasons: dict[str, str], *fields: str
) -> Value | None:
    """The measurement, or None and the reason under the name of each field that it would fill."""
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
