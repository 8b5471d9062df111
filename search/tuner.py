"""Ray Tune's part: lanes that train, our searcher and our stopping."""

import signal
import uuid
from typing import Any, cast

from ray import tune
from ray.tune import PlacementGroupFactory

from search import orphans
from search.cluster import Crews
from search.plan import Plan
from search.searcher import StudySearcher
from search.stopping import StudyStopping
from search.study import SweepStudy
from search.sweep_folder import SweepFolder
from trainables.lane import Lane

MAX_RESTARTS = 5  # of one trial, after the death of a worker or a node


def run(study: SweepStudy, plan: Plan, folder: SweepFolder, crews: Crews) -> None:
    """Train until the study has no further trial. Lanes are gone when this returns.

    A fresh Tuner each time: a sweep is resumed from the study, never from Tune's own files.
    """
    folder = SweepFolder(folder.path.resolve())  # workers have folders of their own
    typed = cast(Any, tune)  # these two have incomplete types
    lane = typed.with_parameters(Lane, crew=crews.arguments(folder.ray))
    # a lane is a mere driver: it takes no CPU, and belongs on the head, the node that stays
    on_head = PlacementGroupFactory([{"node:__internal_head__": 0.001}])
    tuner = tune.Tuner(
        typed.with_resources(lane, on_head),
        tune_config=tune.TuneConfig(
            search_alg=StudySearcher(study, plan, folder),
            scheduler=StudyStopping(study),
            num_samples=-1,
            max_concurrent_trials=crews.lanes,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name=f"tune-{uuid.uuid4().hex[:8]}",
            storage_path=str(folder.ray),
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=MAX_RESTARTS),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        ),
    )
    interrupt = signal.getsignal(signal.SIGINT)
    try:
        with orphans.released():
            tuner.fit()
    finally:  # Tune leaves its own in place, which would swallow the next Ctrl-C
        signal.signal(signal.SIGINT, interrupt)
