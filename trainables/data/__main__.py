"""Data sets from the command line: import images, make a built-in one, describe or show one.

    python -m trainables.data import path/to/images --to birds
    python -m trainables.data published
    python -m trainables.data make galaxies
    python -m trainables.data describe path/to/shards
    python -m trainables.data show digits

Exit codes: 0 done, 2 bad request, 4 the data are wrong, 6 they cannot be stored, 130 interrupted.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from trainables import home
from trainables.data import contact_sheet
from trainables.data.catalogue import locate, names, unknown
from trainables.data.dataset import SPLITS, WHOLE, Dataset, Progress, Symmetries
from trainables.data.describe import describe
from trainables.data.folder import open_dataset
from trainables.data.importing import published_sets, request
from trainables.errors import Exit, exit_code

CORRECTED = "Symmetries, source and licence may be corrected in its dataset.json."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    options = _parser().parse_args(arguments)

    def run() -> int:
        options.run(options)
        return Exit.DONE

    return exit_code(run)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m trainables.data",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    built_in = f"one of: {', '.join(names())}"
    place = argparse.ArgumentParser(add_help=False)
    home.add_option(place, "everything, with data sets in its folder data")
    command = commands.add_parser("import", parents=[place], help="make a data set of your images")
    request.add_arguments(command)
    command.set_defaults(run=_import)
    command = commands.add_parser("published", help="published data sets, and how to import them")
    command.set_defaults(run=_published)
    command = commands.add_parser("make", parents=[place], help="make a built-in data set")
    command.add_argument("name", metavar="NAME", help=built_in)
    command.set_defaults(run=_make)
    command = commands.add_parser("describe", help="write dataset.json for a folder of shards")
    command.add_argument("path", metavar="PATH", type=Path, help="folder of Parquet shards")
    command.set_defaults(run=_describe)
    command = commands.add_parser("show", parents=[place], help="print a data set, draw its images")
    command.add_argument("name", metavar="NAME|PATH", help=f"{built_in}; imported, or a folder")
    command.add_argument("--out", type=Path, help="PNG to write (default: beside the shards)")
    command.set_defaults(run=_show)
    return parser


def _import(options: argparse.Namespace) -> None:
    try:
        with _bar(f"importing {options.to}") as progress:
            dataset = request.run(options, progress, _tell)
    except KeyboardInterrupt:
        _tell("interrupted; give the same command again to go on from here")
        raise
    _say(f"{dataset.path}: {_summary(dataset)}")
    _say(_assumed(dataset))


def _published(_: argparse.Namespace) -> None:
    from rich.console import Console

    Console().print(published_sets.shown())


def _make(options: argparse.Namespace) -> None:
    if options.name not in names():
        raise unknown(options.name, names())
    options.home.prepare()
    with _bar(f"making {options.name}") as progress:
        dataset = locate(options.name, options.home.data, progress)
    _say(f"{dataset.path}: {_summary(dataset)}")


def _describe(options: argparse.Namespace) -> None:
    with _bar("reading images") as progress:
        describe(options.path, progress=progress)
    dataset = open_dataset(options.path)
    _say(f"{dataset.path / 'dataset.json'}: {_summary(dataset)}")
    _say(f"Assumed for augmentation: {dataset.symmetries}.\n{CORRECTED}")


def _show(options: argparse.Namespace) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    if options.name in names():  # it may have to be made
        options.home.prepare()
    with _bar(f"opening {options.name}") as progress:
        dataset = locate(options.name, options.home.data, progress)
    table = Table("class", title=escape(f"{dataset.name}: {_summary(dataset)}"))
    for split in SPLITS:
        table.add_column(split, justify="right")
    for index, name in enumerate(dataset.classes):
        table.add_row(escape(name), *(f"{dataset.counts[split][index]:,}" for split in SPLITS))
    table.add_section()
    table.add_row("all", *(f"{dataset.rows(split):,}" for split in SPLITS))
    Console().print(table)
    sheet = options.out or dataset.path / "contact-sheet.png"
    contact_sheet.draw(dataset, sheet)
    _say(f"mean {dataset.mean}, std {dataset.std}\n{_allowed(dataset)}")
    _say(f"source: {dataset.source}; licence: {dataset.licence}\ncontact sheet: {sheet}")
    if dataset.num_classes > contact_sheet.MAX_CLASSES:
        _say(f"it draws {contact_sheet.MAX_CLASSES} of the {dataset.num_classes} classes")


def _allowed(dataset: Dataset) -> str:
    """What augmentation may do to its images, and what is white in them, in sentences."""
    deep = f"; 16-bit pixels are read as {dataset.bits} bits" if dataset.bits != WHOLE else ""
    return f"for augmentation, {dataset.symmetries}{deep}"


def _assumed(dataset: Dataset) -> str:
    """What an import took for granted, and what changes it."""
    said = f"Assumed for augmentation: {dataset.symmetries}."
    if dataset.symmetries == Symmetries():
        said += " If your images stay of their class when they are, as most photographs do when"
        said += " mirrored left to right, import them"
    else:
        said += " If that is wrong, import them"
    options = "--horizontal-flip, --vertical-flip (or --no-...) and --rotation DEGREES"
    return f"{said} under another name with {options}.\n{CORRECTED}"


def _summary(dataset: Dataset) -> str:
    rows = sum(dataset.rows(split) for split in SPLITS)
    size = sum(shard.bytes for shard in dataset.shards)
    return (
        f"{rows:,} images of {dataset.num_classes} classes, {dataset.image_size} px, "
        f"{size / 1e6:,.1f} MB"
    )


@contextmanager
def _bar(text: str) -> Iterator[Progress]:
    """A progress bar on stderr; it shows nothing until progress is reported."""
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(text, total=None, visible=False)
        yield lambda done, total: bar.update(task, completed=done, total=total, visible=True)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
