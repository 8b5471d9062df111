"""Numbers of a configuration that lie outside what can be built."""

from typing import Any


def range_mistakes(config: Any, **ends: tuple[float, float]) -> list[str]:
    """Which fields of `config` lie outside their ends (both allowed); None is not judged.

    Every rate that the configuration has must lie in [0, 1).
    """
    wrong = [
        f"{name} must lie between {least} and {most}, given {value}"
        for name, (least, most) in ends.items()
        if (value := getattr(config, name)) is not None and not least <= value <= most
    ]
    return wrong + [
        f"{name} must lie in [0, 1), given {getattr(config, name)}"
        for name in ("dropout", "emb_dropout", "drop_path")
        if not 0 <= getattr(config, name, 0.0) < 1
    ]
