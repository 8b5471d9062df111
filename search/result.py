"""What came of a sweep, for Python: its trials, the best ones, their models, and a table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from reports.pareto import Direction, front
from search.plan import Plan
from search.record import Record, State
from search.sweep_folder import SweepFolder
from search.trial_result import TrialResult
from spaces.space import nearest
from trainables import trial_log
from trainables.errors import BadRequestError, StorageError
from trainables.home import Home

if TYPE_CHECKING:
    import pyarrow as pa
    import torch

_COSTS: dict[str, Direction] = {"params": "min", "gflops": "min"}  # beside one objective


@dataclass(frozen=True, kw_only=True)
class SweepResult:
    """What came of a sweep.

    Attributes:
        name: the sweep's name, for `search.resume`.
        home: the folder that it is in.
        variant: what was searched.
        objectives: `min` or `max` by the name of what is made better.
        trials: all of them, in the order of their suggestion.
        table: one row per trial: the columns of `trials.parquet` in the report's folder.
        report: the page that was written.
    """

    name: str
    home: Path
    variant: str
    objectives: Mapping[str, str]
    trials: Sequence[TrialResult] = field(repr=False)
    table: "pa.Table" = field(repr=False)
    report: Path
    _plan: Plan = field(repr=False)

    @cached_property
    def best(self) -> TrialResult | None:
        """The complete trial with the best first objective; None if no trial has a value.

        While no trial is complete, the others count. A tie goes to fewer parameters.
        """
        name, direction = next(iter(self.objectives.items()))
        sign = -1 if direction == "max" else 1
        rated = self._rated
        return min(
            rated,
            key=lambda t: (sign * t.values[name], t.metrics.get("params", 0), t.number),
            default=None,
        )

    @cached_property
    def front(self) -> Sequence[TrialResult]:
        """The complete trials that no other one beats, the best by the first objective first.

        A trial beats another if it is worse in no objective and better in one. With one objective
        the parameters and the GFLOPs, which are made small, are objectives beside it.
        """
        names = cast(dict[str, Direction], dict(self.objectives))
        names |= _COSTS if len(names) == 1 else {}
        rated = [trial for trial in self._rated if trial.state == State.COMPLETE]
        points = [self._point(trial, names) for trial in rated]
        found = [rated[place] for place in front(points, list(names.values()))]
        first, direction = next(iter(names.items()))
        sign = -1 if direction == "max" else 1
        return sorted(found, key=lambda trial: (sign * trial.values[first], trial.number))

    @property
    def _rated(self) -> list[TrialResult]:
        """The complete trials, or without one all that have a value; a repeat is no other trial."""
        first = next(iter(self.objectives))
        rated = [t for t in self.trials if first in t.values and not t.repeat_of]
        return [trial for trial in rated if trial.state == State.COMPLETE] or rated

    def _point(self, trial: TrialResult, names: Mapping[str, str]) -> list[float | None]:
        known = {**trial.metrics, **trial.values}
        if missing := [name for name in _COSTS if name in names and name not in known]:
            counted = self._counted(trial)
            known |= {name: counted[name] for name in missing}
        return [known.get(name) for name in names]

    def _counted(self, trial: TrialResult) -> dict[str, float]:
        """Parameters and GFLOPs of a trial that was not measured."""
        from trainables.efficiency import count

        counts = count(self._model(trial), self._plan.image_size)
        return {"params": counts.params, "gflops": counts.gflops}

    def _model(self, trial: TrialResult) -> "torch.nn.Module":
        from trainables import models
        from trainables.config import TrialConfig

        plan = self._plan
        return models.build(
            plan.searched.model,
            TrialConfig.from_flat(plan.flat(trial.params)).params,
            image_size=plan.image_size,
            num_classes=plan.num_classes,
        )

    def load_model(self, key: str | None = None) -> "torch.nn.Module":
        """The model of a trial with the weights of its best epoch, on the CPU, in evaluation mode.

        It takes images (B, 3, S, S) that are normalised as the trial's recipe says, and gives
        logits (B, classes).

        Args:
            key: that of the trial, by default of the `best` one.

        Raises:
            BadRequestError: there is no such trial, or none at all.
            StorageError: the trial has no weights: it was stopped without `keep_weights`, or failed
                in its first epoch.
        """
        from trainables import weights

        trial = self._trial(key)
        found = weights.best(SweepFolder.of(Home(self.home), self.name).trial(trial.key))
        if found is None:
            said = f"the trial {trial.key} ({trial.state}) has no weights any more"
            hint = "stopped trials keep theirs with keep_weights=True"
            raise StorageError([f"{said}; {hint}"])
        model = self._model(trial)
        model.load_state_dict(found["model"])
        return model.eval()

    def _trial(self, key: str | None) -> TrialResult:
        known = {trial.key: trial for trial in self.trials}
        if key is None and self.best is not None:
            return self.best
        if key is None or key not in known:
            said = f"the sweep {self.name!r} has no trial"
            said += f" {key!r}{nearest(key, list(known))}" if key else " with a value"
            raise BadRequestError([said])
        return known[key]


def read(home: Home, sweep: str, database: str | None = None) -> SweepResult:
    """What came of a sweep of `home` that has a report.

    Raises:
        UserError: its plan, its study or its report cannot be read.
    """
    import pyarrow.parquet as pq

    from reports.mlflow_contract import SCALARS
    from search.reading import reopened

    plan, study = reopened(home, sweep, database)
    report = home.reports / sweep / "report.html"
    try:
        table: Any = pq.read_table(report.with_name("trials.parquet"))
    except OSError as error:
        raise StorageError([f"the report of {sweep} cannot be read: {error}"]) from error
    rows = {row["trial_key"]: row for row in table.to_pylist()}
    folder, stored = SweepFolder.of(home, sweep), study.stored()
    trials: list[TrialResult] = []
    for record in study.accepted:
        lines = trial_log.read(folder.trial(record.key).metrics)
        metrics = dict(lines[-1].metrics) if lines else {}
        row = rows.get(record.key, {})
        metrics |= {name: row[name] for name in SCALARS if row.get(name) is not None}
        record.metrics |= metrics
        values = _values(record, plan, stored[record.key].values)
        trials.append(TrialResult.of(record, folder, metrics, values))
    return SweepResult(
        name=sweep,
        home=home.path,
        variant=plan.variant,
        objectives=plan.directions,
        trials=trials,
        table=table,
        report=report,
        _plan=plan,
    )


def _values(record: Record, plan: Plan, told: Sequence[float] | None) -> dict[str, float]:
    """The objectives of a trial: as the study was `told` them in the end, else as far as known."""
    names = list(plan.directions)
    if told:
        return dict(zip(names, told, strict=True))
    found = {name: record.objective(name, plan.learned) for name in names}
    return {name: value for name, value in found.items() if value is not None}
