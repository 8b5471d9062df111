"""The Pareto front of a finished sweep, out of the Parquet file of its report.

    python examples/read_a_sweep.py sweeps/reports/linformer-digits-56px

`trials.parquet` has one row per trial, `curves.parquet` one per epoch of a trial.
"""

import sys
from pathlib import Path

import pandas as pd

folder = Path(sys.argv[1])
trials = pd.read_parquet(folder / "trials.parquet")
curves = pd.read_parquet(folder / "curves.parquet")

done = trials[trials["state"] == "complete"].sort_values(
    ["gflops", "best_valid_top1"], ascending=[True, False]
)
front = done[done["best_valid_top1"] > done["best_valid_top1"].cummax().shift(fill_value=-1.0)]
shown = ["trial_key", "best_valid_top1", "test_top1", "gflops", "throughput_images_per_s"]
print(f"{len(trials)} trials, {len(done)} of them complete; on the front:")
print(front[shown].to_string(index=False))

last = curves.sort_values("epoch").groupby("trial_key").last()
print(f"median of the last training loss: {last['train_loss'].median():.3f}")
