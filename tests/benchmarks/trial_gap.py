"""How long from the end of one trial's last epoch to the start of the next one's first epoch?

    python tests/benchmarks/trial_gap.py [--trials 24] [--documented 24]

The same trials of one epoch on `digits`, one after the other: in one lane, and by the documented
pattern, a Tune trial that calls `TorchTrainer.fit()`. Prints both medians and their ratio.
"""

import argparse
import json
import os
import statistics
import tempfile
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import ray
from ray import tune

from search import cluster, tuner
from search.plan import Plan
from search.sampling import create
from search.study import SweepStudy
from search.sweep_folder import SweepFolder
from trainables import records
from trainables.data import locate

SETTINGS = {"grid": 7, "depth": 4, "dim": 64, "heads": 2, "shared_kv": True, "batch_size": 64}


def gaps_seconds(trials: Path) -> list[float]:
    """Gaps between consecutive trials, by the journals that the trials themselves keep."""
    spans = []
    for folder in trials.iterdir():
        events = records.scan(folder / "attempts.jsonl").sound
        begun = next(event["at"] for event in events if event["event"] == "epoch")
        ended = records.scan(folder / "metrics.jsonl").sound[-1]["ended_unix_s"]
        spans.append((datetime.fromisoformat(begun).timestamp(), ended))
    spans.sort()
    return [begun - ended for (_, ended), (begun, _) in pairwise(spans)]


def make_plan(home: Path, trials: int) -> Plan:
    dataset = locate("digits", home / "data")
    return Plan(
        sweep="gap",
        variant="linformer",
        data=str(dataset.path.resolve()),
        data_name=dataset.name,
        data_sha256=dataset.fingerprint,
        num_classes=dataset.num_classes,
        image_size=56,
        epochs=1,
        trials=trials,
        patience=10,
        seed=0,
        published=0,
        settings=SETTINGS,
    )


def make_study(plan: Plan) -> SweepStudy:
    directions = {"valid_top1": "max"}
    return SweepStudy(
        create(plan.sweep, directions, None),
        plan.searched,
        directions=directions,
        max_epochs=plan.epochs,
        image_size=plan.image_size,
        trials=plan.trials,
    )


def in_a_lane(home: Path, plan: Plan) -> list[float]:
    folder = home / "lane"
    crew = cluster.Crews(lanes=1, workers=1, cpus_per_worker=1, gpus_per_worker=0)
    tuner.run(make_study(plan), plan, SweepFolder(folder), crew)
    return gaps_seconds(folder / "trials")


def train(config: dict[str, Any]) -> None:
    """The worker of the documented pattern: the same trial."""
    import ray.train

    from trainables.config import TrialConfig
    from trainables.team import Team
    from trainables.trial import Trial

    trial = Trial(TrialConfig.from_flat(config["flat"]), Path(config["directory"]), Team.current())
    ray.train.report(trial.epoch().document())


def drive(config: dict[str, Any]) -> None:
    """The Tune trial of the documented pattern."""
    config = config["trial"]
    import ray.train
    from ray.train import ScalingConfig
    from ray.train.torch import TorchTrainer
    from ray.tune.integration.ray_train import TuneReportCallback

    TorchTrainer(
        train,
        train_loop_config=config,
        scaling_config=ScalingConfig(num_workers=1),
        run_config=ray.train.RunConfig(
            name=Path(config["directory"]).name,
            storage_path=str(Path(config["directory"]).parents[1] / "train"),
            callbacks=[TuneReportCallback()],
        ),
    ).fit()


def as_documented(home: Path, plan: Plan) -> list[float]:
    folder = home / "documented"
    study = make_study(plan)
    configs = []
    while (record := study.next()) is not None:
        directory = str(folder / "trials" / record.key)
        configs.append({"flat": plan.flat(record.params), "directory": directory})
    tune.Tuner(
        tune.with_resources(drive, {"CPU": 0.01}),
        param_space={"trial": tune.grid_search(configs)},
        tune_config=tune.TuneConfig(max_concurrent_trials=1),
        run_config=tune.RunConfig(storage_path=str(folder / "tune"), name="gap", verbose=0),
    ).fit()
    return gaps_seconds(folder / "trials")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--documented", type=int, default=24)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        os.environ.setdefault("SEARCH_CACHE", str(home / "cache"))
        with cluster.connected(None, print):
            lane = in_a_lane(home, make_plan(home, given.trials))
        # without the dashboard's State API this pattern never frees its workers' resources
        ray.init("local", include_dashboard=True, logging_level="ERROR", log_to_driver=False)
        documented = as_documented(home, make_plan(home, given.documented))
        ray.shutdown()
    medians = {"lane": statistics.median(lane), "documented": statistics.median(documented)}
    for name, gaps in (("lane", lane), ("documented", documented)):
        spread = f"{min(gaps):.3f} to {max(gaps):.3f}"
        print(f"{name}: median {medians[name]:.3f} s, {spread} s, {len(gaps)} gaps")
    ratio = medians["documented"] / medians["lane"]
    print(json.dumps({**medians, "ratio": ratio, "cpus": os.cpu_count()}))


if __name__ == "__main__":
    main()
