"""Every variant that can be searched, by WTTF's taxonomy, with its published rows."""

import argparse
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.table import Table

import spaces
from spaces.published import table6_of

IMAGE_SIZE = 224
FAMILIES = (
    "Baseline",
    "Low-Rank Attention",
    "Sparse Attention",
    "Fixed Attention",
    "Kernel Attention",
    "Hybrid Attention",
    "Fourier Attention",
    "Non-Attention Shuffling",
    "Token Removal",
    "Token Merging",
    "Summary Tokens",
    "More MLPs",
)


def _rows(variant: str) -> Iterator[tuple[str, str, str]]:
    """Name, parameters in millions and GFLOPs of a variant's published rows."""
    from trainables import models  # takes seconds, which --help does not need

    name = spaces.load(variant).model
    if not models.published(name):
        yield "not published", "", ""
    rows = models.wttf(name)
    if runs := len(models.published(name)) - len(rows):
        yield f"{runs} runs of the galaxy paper", "", ""
    for model in sorted(rows):
        if lines := table6_of(model, IMAGE_SIZE):
            yield model, lines[0]["params_m"], lines[0]["gflops"]
        else:
            yield model, "no row", "no row"


def _rank(family: str) -> int:
    return FAMILIES.index(family) if family in FAMILIES else len(FAMILIES)


def listing() -> Table:
    """The table of `python -m search.run --list`, with costs as published, at 224 px."""
    table = Table(title="What can be searched")
    table.add_column("family")
    table.add_column("variant", min_width=max(map(len, spaces.names())))  # users type names
    table.add_column("published row")
    for heading in ("params M", "GFLOPs"):
        table.add_column(heading, justify="right")
    variants = sorted(spaces.names(), key=lambda name: (_rank(spaces.load(name).family), name))
    shown = ""
    for variant in variants:
        family, name = spaces.load(variant).family, variant
        if family != shown and shown:
            table.add_section()
        for row in _rows(variant):
            table.add_row("" if family == shown else family, name, *row)
            shown, name = family, ""
    return table


class Show(argparse.Action):
    """Print what can be searched, and exit."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        Console().print(listing())
        parser.exit()
