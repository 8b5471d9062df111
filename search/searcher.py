"""The study as a searcher of Ray Tune."""

from typing import Any

from ray.tune.search import Searcher

from search.plan import Plan
from search.record import State
from search.study import SweepStudy
from search.sweep_folder import SweepFolder
from trainables.trial_log import Line


def metrics_of(line: Line) -> dict[str, Any]:
    """An epoch's metrics, and notes if it has any."""
    return {**line.metrics, **({"notes": list(line.notes)} if line.notes else {})}


class StudySearcher(Searcher):
    """Hands out the study's trials. All state lives in the study, so nothing is saved here.

    `folder` is the sweep's, absolute.
    """

    def __init__(self, study: SweepStudy, plan: Plan, folder: SweepFolder):
        super().__init__()
        self._study, self._plan, self._folder = study, plan, folder
        self._keys: dict[str, str] = {}

    def suggest(self, trial_id: str) -> Any:
        """A trial's configuration for a lane, None while there is nothing for it, or FINISHED.

        What was paused is a trial of the study that goes on, and another one for Tune.
        """
        record = self._study.next()
        if record is None:
            return None if self._study.running else Searcher.FINISHED
        self._keys[trial_id] = record.key
        # the last known epoch is said again: it may be a final one that was never told
        again = record.epoch - 1 if record.epoch > record.resumed_epoch else record.epoch
        return {
            "trial_key": record.key,
            "flat": self._plan.flat(record.params, record.seed),
            "directory": str(self._folder.trial(record.key).path),
            "known_epoch": max(0, again),
            "stages": str(self._folder.stages),
            "quiet": str(self._folder.quiet),
        }

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tell the study of a trial that ended by itself.

        Of others it knows: it paused or stopped them, or the scheduler, which sees its message,
        told of an error.
        """
        if error or result is None or not (line := Line.of(result)).done:
            return
        key, state = self._keys[trial_id], State(line.state)
        if state == State.COMPLETE:
            self._study.report(key, line.epoch, metrics_of(line))
        self._study.finish(key, state, line.reason, metrics_of(line))

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its searcher, but a sweep is never restored from that."""
        return {}

    def save(self, checkpoint_path: str) -> None: ...

    def restore(self, checkpoint_path: str) -> None: ...
