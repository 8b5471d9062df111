"""The command `vit-search`: one name for the commands of the packages.

    vit-search run linformer            as python -m search.run linformer

Each subcommand is the `main` of a module, with that module's options and exit codes.
"""

import argparse
import importlib
import sys
from collections.abc import Sequence

from search import __version__

COMMANDS = {
    "run": ("search.run", "run, continue or extend a sweep"),
    "measure": ("search.measure", "measure what trials or models cost"),
    "verify": ("search.verify", "check that study, folders and MLflow agree"),
    "status": ("search.status", "say how far sweeps are, and what they take on disk"),
    "explain": ("search.explain", "say why a trial was suggested, paused or stopped"),
    "report": ("reports.build", "write the report of a sweep"),
    "ui": ("search.ui", "show the sweeps in MLflow"),
    "data": ("trainables.data.__main__", "import, make, describe or show a data set"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the subcommand that is named first with the arguments after it.

    Returns its exit code; an unknown subcommand ends the process with 2, as argparse does.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    module, _ = COMMANDS[_parser().parse_args(given[:1]).command]
    return importlib.import_module(module).main(given[1:])


def _parser() -> argparse.ArgumentParser:
    listed = [f"  {name:8} {meaning}" for name, (_, meaning) in COMMANDS.items()]
    parser = argparse.ArgumentParser(
        prog="vit-search",
        usage="vit-search COMMAND [OPTION ...]",
        description="\n".join(("Search efficient vision transformers.\n\ncommands:", *listed)),
        epilog="The options of a command: vit-search COMMAND --help",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
