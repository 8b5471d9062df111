"""Run a small sweep, go on with it, and use the best model; two minutes on two cores.

    python examples/run_a_sweep.py sweeps

It is the sweep of `python -m search.run linformer --name example ...` in the same home.
"""

import sys

import torch

import search


def told(trial: search.TrialResult) -> None:
    print(f"{trial.key} {trial.state} after {trial.epoch} epochs: {trial.value}")


def main(home: str) -> None:
    result = search.sweep(
        "linformer",
        name="example",
        home=home,
        trials=3,
        epochs=3,
        settings={"grid": 7, "depth": 4, "dim": 64, "heads": 2, "shared_kv": True},
        measure=False,
        on_trial=told,
    )
    print(result.table.select(["trial_key", "state", "best_valid_top1"]).to_pandas())
    print(f"on the front: {[trial.key for trial in result.front]}")
    model = result.load_model()
    print(f"logits of an image: {tuple(model(torch.zeros(1, 3, 56, 56)).shape)}")
    result = search.resume("example", home=home, trials=4, measure=False)
    print(f"{len(result.trials)} trials now, the best {result.best.key}")


if __name__ == "__main__":
    main(sys.argv[1])
