"""Numbers with units: as people read them, and as they write them."""

import math
import re

_BINARY = ("B", "KiB", "MiB", "GiB", "TiB")
_PREFIXES = {-9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T", 15: "P"}
_SCALED = ("1", "s", "J", "W", "Hz", "FLOP/s")  # units that take a prefix
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_AMOUNT = re.compile(r"([\d.]+(?:e[-+]?\d+)?)\s*([kmgt]?)(i?)b?", re.IGNORECASE)


def amount(text: str) -> float:
    """The number of `5M`, `2GB` (powers of 1000) or `2GiB` (powers of 1024).

    Raises:
        ValueError: it is none of these.
    """
    found = _AMOUNT.fullmatch(text.strip())
    if found is None or (found[3] and not found[2]):
        raise ValueError(f"no amount: {text!r}")
    return float(found[1]) * (1024 if found[3] else 1000) ** _POWERS[found[2].lower()]


def quantity(value: float, measured_in: str) -> str:
    """A number with its unit, with three digits and a suitable prefix."""
    if not math.isfinite(value):
        return str(value)
    if measured_in == "fraction":
        return f"{100 * value:.3g} %"
    if measured_in == "bytes":
        step = min(len(_BINARY) - 1, max(0, (int(abs(value)).bit_length() - 1) // 10))
        return f"{value / 1024**step:.4g} {_BINARY[step]}"
    if measured_in == "1e9":
        return f"{value:.3g} G"
    factor, base = (1e-3, "s") if measured_in == "ms" else (1, measured_in)
    value = float(f"{value * factor:.3g}")
    if base not in _SCALED:
        return f"{value:,.0f} {base}" if abs(value) >= 1000 else f"{value:g} {base}"
    power = 3 * math.floor(math.log10(abs(value)) / 3) if value else 0
    power = min(max(power, 0 if base == "1" else min(_PREFIXES)), max(_PREFIXES))
    suffix = _PREFIXES[power] + ("" if base == "1" else base)
    return f"{value / 10.0**power:.3g} {suffix}".rstrip()
