"""Writes the report of a sweep: `python -m reports.build [SWEEP ...] [--home DIR] [--out DIR]`.

Without a name, the newest sweep is reported. A report is a folder `<home>/reports/<sweep>/` with
`report.html` (one file that loads nothing), `trials.parquet` and `curves.parquet`.
Exit codes: 0 done, 2 bad request, 6 storage.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow.parquet as pq

import spaces
from reports import collect
from reports.collect import Sweep
from reports.mlflow_contract import address, explained
from reports.page import page
from trainables.errors import BadRequestError, Exit, StorageError, exit_code
from trainables.home import Home, add_option


def build(home: Home, sweep: str, tracking_uri: str | None = None, out: Path | None = None) -> Path:
    """Write the report of a sweep.

    Args:
        home: the home that the sweep is in.
        sweep: its name.
        tracking_uri: where MLflow is; see `reports.collect.connect`.
        out: the folder of all reports, by default that of the home.

    Returns:
        The path of `report.html`, in a folder of `out` that is called like the sweep.

    Raises:
        BadRequestError: there is no such sweep or no store.
    """
    client = collect.connect(home, tracking_uri)
    return _write(client, collect.find(client, [sweep], home)[0], out or home.reports)


def _write(client: collect.Client, sweep: Sweep, out: Path) -> Path:
    if Path(sweep.name).name != sweep.name or sweep.name == "..":
        raise BadRequestError([f"the sweep name {sweep.name!r} cannot be the name of a folder"])
    trials, curves = collect.tables(client, sweep)
    published = spaces.load(sweep.variant).published if sweep.variant in spaces.names() else ()
    html = page(sweep, trials.to_pylist(), curves.to_pylist(), published)
    folder = out / sweep.name
    folder.mkdir(parents=True, exist_ok=True)
    _replace(folder / "trials.parquet", lambda part: pq.write_table(trials, part))
    _replace(folder / "curves.parquet", lambda part: pq.write_table(curves, part))
    return _replace(folder / "report.html", lambda part: part.write_text(html, encoding="utf-8"))


def _replace(path: Path, write: Callable[[Path], object]) -> Path:
    """Write beside `path`, then rename: a reader never meets half a file."""
    part = path.with_name(f"{path.name}.part")
    write(part)
    return part.replace(path)


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m reports.build", description=__doc__)
    parser.add_argument("sweeps", nargs="*", metavar="SWEEP", help="default: the newest")
    add_option(parser)
    parser.add_argument("--out", type=Path, help="folder of the reports (default: HOME/reports)")
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> int:
    """Report the sweeps named on the command line; returns the exit code."""
    arguments = _arguments(given)
    return exit_code(lambda: _report(arguments))


def _report(arguments: argparse.Namespace) -> int:
    # With MLflow's default of seven retries, a dead server is noticed after four minutes.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    try:
        client = collect.connect(arguments.home)
        found = collect.find(client, arguments.sweeps, arguments.home)
        if not arguments.sweeps:
            sys.stdout.write(f"no sweep named: reporting the newest, {found[0].name}\n")
        for sweep in found:
            report = _write(client, sweep, arguments.out or arguments.home.reports)
            sys.stdout.write(f"{report}\n")
    except collect.STORAGE_ERRORS as error:
        said = explained(error, address(arguments.home))
        hint = "the same search.run --resume makes the report without it"
        raise StorageError([f"storage: {said}; {hint}"]) from error
    return Exit.DONE


if __name__ == "__main__":
    sys.exit(main())
