"""The study as a searcher of Ray Tune."""

from pathlib import Path
from typing import Any

from ray.tune.search import Searcher

from search.plan import Plan
from search.record import State
from search.study import SweepStudy
from trainables.trial_log import Line


def measured(line: Line) -> dict[str, Any]:
    """An epoch's metrics, and notes if it has any."""
    return {**line.metrics, **({"notes": list(line.notes)} if line.notes else {})}


class StudySearcher(Searcher):
    """Hands out the study's trials. All state lives in the study, so nothing is saved here.

    `crew` are the arguments of a lane's worker group; `trials` is the folder of the trials.
    """

    def __init__(self, study: SweepStudy, plan: Plan, trials: str, crew: dict[str, Any]):
        super().__init__()
        self._study, self._plan, self._trials, self._crew = study, plan, trials, crew
        self._keys: dict[str, str] = {}

    def suggest(self, trial_id: str) -> Any:
        """A trial's configuration for a lane, or FINISHED."""
        record = self._study.next()
        if record is None:
            return Searcher.FINISHED
        self._keys[trial_id] = record.key
        return {
            "trial_key": record.key,
            "flat": self._plan.flat(record.params),
            "directory": f"{self._trials}/{record.key}",
            # the last known epoch is said again: it may be a final one that was never told
            "known_epoch": max(0, record.epoch - 1),
            "stages": str(Path(self._trials).with_name("stages")),
            "crew": self._crew,
        }

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tell the study; an error was told by the scheduler, which sees its message."""
        if error or result is None:
            return
        key, line = self._keys[trial_id], Line.of(result)
        if line.done:  # the trial ended by itself
            state = State(line.state)
            if state == State.COMPLETE:
                self._study.report(key, line.epoch, measured(line))
            self._study.finish(key, state, line.reason, measured(line))
        else:
            self._study.finish(key, State.PRUNED, f"stopped after epoch {line.epoch}")

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its searcher, but a sweep is never restored from that."""
        return {}

    def save(self, checkpoint_path: str) -> None: ...

    def restore(self, checkpoint_path: str) -> None: ...
