"""The published tables, verbatim, as CSV, with their corrections in files beside them.

`papers.toml` says where each table comes from. A row is addressed as `file#table:run`, or as
`file#number` where rows have no name. One file is not published but counted here:
`galaxy_costs.csv`.
"""

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class GalaxyRun:
    """One column of the galaxy paper: `printed` as it stands there, `corrected` as it must be read.

    `duplicate_of` is the address of an earlier column with the same run and cells, or empty.
    """

    table: str
    run_id: str
    model: str
    printed: dict[str, str]
    corrected: dict[str, str]
    corrections: tuple[str, ...]
    duplicate_of: str

    @property
    def address(self) -> str:
        return f"galaxy_runs.csv#{self.table}:{self.run_id}"

    def number(self, field: str) -> float | None:
        """The corrected cell as a number; None where nothing (or nothing numeric) was published."""
        cell = self.corrected[field].replace(",", "").replace("(8 ep)", "").strip(" ^*")
        try:
            return float(cell)
        except ValueError:
            return None


def _rows(file: str) -> list[dict[str, str]]:
    with (FOLDER / file).open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def _model(row: dict[str, str]) -> str:
    if row["k_dim"]:
        return "linformer"
    return "vit" if row["mlp_dim"] else "vit_base"


@cache
def galaxy_runs() -> tuple[GalaxyRun, ...]:
    """All 73 columns of the galaxy paper's tables, in their order."""
    fixes: dict[tuple[str, str], dict[str, tuple[str, str]]] = {}
    for fix in _rows("galaxy_corrections.csv"):
        column = fixes.setdefault((fix["table"], fix["run"]), {})
        column[fix["field"]] = (fix["corrected"], fix["why"])
    seen: dict[tuple[str, str], GalaxyRun] = {}
    runs = []
    for row in _rows("galaxy_runs.csv"):
        column = fixes.get((row["table"], row["run"]), {})
        run_id, model = row["run"].strip("#"), _model(row)
        earlier = seen.get((model, run_id))
        run = GalaxyRun(
            table=row["table"],
            run_id=run_id,
            model=model,
            printed=row,
            corrected=row | {field: value for field, (value, _) in column.items()},
            corrections=tuple(f"{field}: {why}" for field, (_, why) in column.items()),
            duplicate_of=earlier.address if earlier else "",
        )
        seen.setdefault((model, run_id), run)
        runs.append(run)
    return tuple(runs)


@cache
def galaxy_gflops() -> dict[str, float]:
    """GFLOPs of one image by address, for every distinct ViT and Linformer column.

    Counted by this project, at 224 px with eight classes: the galaxy paper published none.
    """
    return {row["address"]: float(row["gflops"]) for row in _rows("galaxy_costs.csv")}


@cache
def table6() -> tuple[dict[str, str], ...]:
    """The rows of WTTF's Table 6, verbatim, each with its `address`."""
    return _addressed("wttf_table6.csv")


@cache
def table6_cut() -> tuple[dict[str, str], ...]:
    """Rows that are cut off from Table 6 in our source, in its form, from the authors' log."""
    return _addressed("wttf_table6_cut.csv")


@cache
def table6_corrected() -> tuple[dict[str, str], ...]:
    """All rows of Table 6, those cut off included, as they must be read.

    `corrections` says what was changed and why, or is empty.
    """
    fixes: dict[str, dict[str, tuple[str, str]]] = {}
    for fix in _rows("wttf_corrections.csv"):
        fixes.setdefault(fix["address"], {})[fix["field"]] = (fix["corrected"], fix["why"])
    corrected = []
    for row in (*table6(), *table6_cut()):
        known = fixes.get(row["address"], {})
        why = "; ".join(f"{field}: {reason}" for field, (_, reason) in known.items())
        values = {field: value for field, (value, _) in known.items()}
        corrected.append({**row, **values, "corrections": why})
    return tuple(corrected)


def table6_of(model: str, res_px: int | None = None) -> list[dict[str, str]]:
    """The corrected rows of `model`, those at `res_px` if that is given."""
    rows = [row for row in table6_corrected() if row["model"] == model]
    return [row for row in rows if res_px is None or row["res_px"] == str(res_px)]


def _addressed(file: str) -> tuple[dict[str, str], ...]:
    return tuple({**row, "address": f"{file}#{n}"} for n, row in enumerate(_rows(file), start=1))
