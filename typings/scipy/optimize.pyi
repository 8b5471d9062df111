from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

class OptimizeResult:
    x: NDArray[np.float64]

def minimize(
    fun: Callable[..., Any],
    x0: NDArray[np.float64],
    args: tuple[Any, ...] = ...,
    method: str = ...,
    jac: bool = ...,
    bounds: Sequence[tuple[float, float]] = ...,
    options: dict[str, Any] = ...,
) -> OptimizeResult: ...
