"""The options of `search.run`."""

import argparse

from search.listing import Show
from search.numbers import NUMBERS
from search.samplers import DEFAULT
from search.sweep_folder import add_options

ONLY = "only"  # with --published: nothing else is tried


def parser() -> argparse.ArgumentParser:
    """Everything that may be asked for; `search.request` checks it."""
    root = argparse.ArgumentParser(
        prog="python -m search.run",
        description="Search the hyperparameters of an efficient vision transformer.",
        epilog="Exit codes: 0 done, 1 some trials failed, 2 bad request, 3 locked by another "
        "driver, 4 data, 5 resources, 6 storage, 130 interrupted.",
    )
    root.add_argument("variant", help="what is searched, one of those that --list shows")
    root.add_argument("--list", action=Show, nargs=0, help="every variant, with its published rows")
    root.add_argument("--data", help="a data set's name, or a folder of Parquet shards (digits)")
    root.add_argument("--name", help="the sweep's name (made of variant, data and image size)")
    add_options(root)
    root.add_argument("--resume", action="store_true", help="continue an existing sweep")
    root.add_argument("--full", action="store_true", help="the full budget, also without a GPU")
    root.add_argument(
        "--set",
        nargs="+",
        default=[],
        dest="settings",
        metavar="NAME=VALUE",
        help="constants (name=8), ranges (lr=1e-4:1e-2:log, dim=64:256:step=64), lists (heads=2,4)",
    )
    root.add_argument("--space", metavar="FILE", help="a space of your own, see docs/search.md")
    root.add_argument("--address", help="a Ray cluster to join (RAY_ADDRESS, or this head)")
    root.add_argument("--no-measure", action="store_true", help="leave out measuring afterwards")
    root.add_argument("--keep-weights", action="store_true", help="also those of stopped trials")
    root.add_argument("--dry-run", action="store_true", help="tell what would be done, do nothing")
    for name, meaning in (("sampler", DEFAULT), ("pruner", "the sampler's own")):
        root.add_argument(f"--{name}", metavar="NAME", help=f"see docs/search.md ({meaning})")
    root.add_argument(
        "--objective",
        nargs="+",
        metavar="METRIC",
        help="what is made better, one metric or several (valid_top1); see docs/search.md",
    )
    root.add_argument(
        "--warm-start",
        nargs="+",
        default=[],
        metavar="SWEEP",
        help="sweeps of this home to begin from: their best is tried first, their curves are known",
    )
    root.add_argument(
        "--until-settled", action="store_true", help="end when little more is to be expected"
    )
    for name, (_, _, meaning) in NUMBERS.items():
        root.add_argument(f"--{name.replace('_', '-')}", metavar="N", help=meaning)
    return root
