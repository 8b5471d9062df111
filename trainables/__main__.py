"""One training from the command line, alone or under torchrun.

torchrun --nproc-per-node 2 -m trainables linformer --set depth=6 dim=64 heads=4 grid=8
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from trainables import fields, home, models
from trainables.config import TrialConfig
from trainables.data import locate
from trainables.errors import Exit, UserError, complain
from trainables.team import Team, launched
from trainables.trial import Trial


def _located(flat: dict[str, Any], data_home: Path, team: Team) -> dict[str, str]:
    """The folders of the data sets that a configuration names; the leader makes missing ones."""
    named = [key for key in ("data", "pretrain_data") if flat.get(key)]
    found = {}
    if team.leads:
        found = {key: str(locate(str(flat[key]), data_home).path.resolve()) for key in named}
    return team.agree(found)


def main(arguments: list[str] | None = None) -> int:
    """Train one configuration and print one line per epoch.

    Exit codes: 0 done, 1 failed or infeasible, 2 bad request, 4 data, 6 storage.
    """
    parser = argparse.ArgumentParser(prog="python -m trainables", description=main.__doc__)
    parser.add_argument("model", help=", ".join(models.names()))
    parser.add_argument("--data", default="digits", help="a data set's name or folder")
    parser.add_argument("--data-home", type=Path, default=home.default().data)
    parser.add_argument("--directory", type=Path, default=Path("trial"))
    parser.add_argument("--set", nargs="+", default=[], dest="settings", metavar="NAME=VALUE")
    given = parser.parse_args(arguments)
    try:
        with launched() as team:
            task = {"model": given.model, "data": given.data, "image_size": 56, "epochs": 10}
            flat = task | fields.assignments(given.settings)
            TrialConfig.from_flat(flat)  # a bad request is refused before data is made
            flat |= _located(flat, given.data_home, team)
            trial = Trial(TrialConfig.from_flat(flat), given.directory, team)
            line = None
            while line is None or not line.done:
                line = trial.epoch()
                if team.leads:
                    sys.stdout.write(json.dumps(line.document()) + "\n")
    except UserError as error:
        return complain(error.mistakes, error.exit)
    except ValueError as error:
        return complain([str(error)], Exit.BAD_REQUEST)
    except OSError as error:
        return complain([str(error)], Exit.STORAGE)
    return Exit.DONE if line.state == "complete" else Exit.FAILED


if __name__ == "__main__":
    sys.exit(main())
