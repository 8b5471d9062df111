"""That a finite space holds nothing untried, noted in the study.

A sweep that ended so is finished, though it has fewer trials than planned: it is not begun again to
find that out once more.
"""

import optuna

from search.study import SweepStudy

_TRIED = "every_configuration_was_tried"


def note(stored: optuna.Study, study: SweepStudy) -> None:
    """Note it if `study` has found it out and no trial is unfinished."""
    if study.exhausted and not study.unfinished:
        stored.set_user_attr(_TRIED, study.gave_up)


def recall(stored: optuna.Study, study: SweepStudy) -> None:
    """Tell `study` what was noted."""
    if said := stored.user_attrs.get(_TRIED):
        study.gave_up, study.exhausted = said, True
