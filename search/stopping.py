"""The study's verdicts as a scheduler of Ray Tune. Time is the `epoch`."""

from pathlib import Path
from typing import Any, cast

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from search.record import State
from search.searcher import metrics_of
from search.study import SweepStudy
from trainables.trial_log import Line


class StudyStopping(FIFOScheduler):
    """Ends a trial when the study says so: for good, or until the study goes on with it.

    Tune's own pausing is not used: a paused trial is on disk, and any lane can go on with it.
    """

    def __init__(self, study: SweepStudy):
        super().__init__()
        self._study = study

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its scheduler, but a sweep is never restored from that."""
        return {}

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:  # noqa: ARG002
        line = Line.of(result)
        stop = self._study.report(_key(trial), line.epoch, metrics_of(line))
        return TrialScheduler.STOP if stop else TrialScheduler.CONTINUE

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:  # noqa: ARG002
        """Tune says this before each restart too: only the last error ends the trial."""
        if not trial.should_recover():
            self._study.finish(_key(trial), State.FAILED, _last_words(trial))


def _key(trial: Trial) -> str:
    config: dict[str, str] = cast(Any, trial).config
    return config["trial_key"]


def _last_words(trial: Trial) -> str:
    """The last line of what Tune noted of a trial's errors."""
    noted = Path(trial.error_file) if trial.error_file else None
    lines = noted.read_text().strip().splitlines() if noted and noted.exists() else []
    return lines[-1] if lines else "its worker died"
