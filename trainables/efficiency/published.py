"""`python -m trainables.efficiency.published`: what Table 6 prints beside what we count.

It lists parameters and GFLOPs of every row of WTTF's Table 6 whose model is here, at the row's
image size with 1000 classes. A count agrees if, rounded as in the table, it is within 0.01 M
parameters and 0.02 GFLOPs of the printed cell, after corrections; XCiT's GFLOPs are known to be
1.2 % lower. Models that WTTF reports as failed have no row, so that only their counts are listed.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from rich.console import Console
from rich.table import Table

from spaces.published import table6_of
from trainables import models
from trainables.efficiency.count import Counts, count

CLASSES, IMAGE_SIZE = 1000, 224
PARAMS_M, GFLOPS = 0.01, 0.02  # by how much a count may differ
# the code behind these rows counts norms and clamps in another way
KNOWN_SHARES = {"XCiT-S-12/16": 0.015}
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Row:
    """One row; `printed_*` are None where WTTF prints nothing."""

    variant: str
    model: str
    address: str
    image_size: int
    params: int
    gflops: float
    printed_params_m: float | None = None
    printed_gflops: float | None = None
    note: str = ""

    @property
    def params_m_difference(self) -> float | None:
        if self.printed_params_m is None:
            return None
        return round(self.params / 1e6, 2) - self.printed_params_m

    @property
    def gflops_difference(self) -> float | None:
        return None if self.printed_gflops is None else round(self.gflops, 2) - self.printed_gflops

    @property
    def verdict(self) -> str:
        params, gflops = self.params_m_difference, self.gflops_difference
        if params is None or gflops is None:
            return "not printed"
        if abs(params) <= PARAMS_M + _ROUNDING:
            if abs(gflops) <= GFLOPS + _ROUNDING:
                return "agrees"
            share = KNOWN_SHARES.get(self.model, 0.0)
            if self.printed_gflops and abs(gflops) <= share * self.printed_gflops:
                return f"within its known {100 * share:.1f} %"
        return "DIFFERS"


def counted(variant: str, model: str, image_size: int) -> Counts:
    """The counts of the published row `model` of `variant`."""
    with torch.device("meta"):
        params = models.published(variant)[model]
        built = models.build(variant, params, image_size=image_size, num_classes=CLASSES)
    return count(built, image_size)


def rows(variants: Sequence[str], image_sizes: Sequence[int] = ()) -> Iterator[Row]:
    """The rows of `variants`; if `image_sizes` are given, only the rows at these sizes."""
    for variant in variants:
        for model in sorted(models.wttf(variant)):
            found = table6_of(model)
            if not found:
                counts = counted(variant, model, IMAGE_SIZE)
                yield Row(variant, model, "", IMAGE_SIZE, counts.params, counts.gflops)
            known: dict[int, Counts] = {}
            for row in found:
                size = int(row["res_px"])
                if image_sizes and size not in image_sizes:
                    continue
                counts = known.get(size) or known.setdefault(size, counted(variant, model, size))
                yield Row(
                    variant,
                    model,
                    row["address"],
                    size,
                    counts.params,
                    counts.gflops,
                    float(row["params_m"]),
                    float(row["gflops"]),
                    row["corrections"],
                )


def _number(value: float | None, decimals: int = 2, sign: str = "") -> str:
    return "" if value is None else f"{value:{sign}.{decimals}f}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table. Exit codes: 0 all agree, 1 some differ, 2 bad request."""
    parser = argparse.ArgumentParser(prog="python -m trainables.efficiency.published")
    parser.add_argument("variants", nargs="*", help="only these (default: all)")
    given = parser.parse_args(arguments)
    known = models.names()
    if wrong := [name for name in given.variants if name not in known]:
        parser.error(f"unknown: {', '.join(wrong)} (variants: {', '.join(known)})")
    table = Table("variant", "row", "px", title="Table 6, printed and counted")
    for heading in ("params M", "counted", "±", "GFLOPs", "counted", "±"):
        table.add_column(heading, justify="right")
    table.add_column("verdict")
    every = list(rows(given.variants or known))
    for row in every:
        table.add_row(
            row.variant,
            f"{row.model} {row.address.removeprefix('wttf_').replace('.csv', '')}",
            str(row.image_size),
            _number(row.printed_params_m),
            _number(row.params / 1e6, 4),
            _number(row.params_m_difference, sign="+"),
            _number(row.printed_gflops),
            _number(row.gflops, 3),
            _number(row.gflops_difference, sign="+"),
            row.verdict + (" (cell corrected)" if row.note else ""),
        )
    Console(width=150).print(table)
    return int(any(row.verdict == "DIFFERS" for row in every))


if __name__ == "__main__":
    sys.exit(main())
