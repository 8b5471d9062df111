"""The columns of the galaxy paper's parameter log as points of a space.

The paper is Lin et al. 2021, arXiv:2110.01024, "galaxy" for short. The tables print patch sizes at
224 px; a space has tokens per side (`grid`) instead, so that the same point means the same model at
56, 112 or 224 px.
"""

from spaces.published import GalaxyRun, galaxy_gflops, galaxy_runs
from spaces.space import Point, Value

IMAGE_SIZE = 224
_COLUMNS = {
    "depth": "depth",
    "dim": "dim",
    "mlp_dim": "mlp_dim",
    "k_dim": "k_dim",
    "num_heads": "heads",
    "step_size": "step_size",
    "batch_size": "batch_size",
}
_TRAINED = {"schedule": "step", "weight_decay": 0.0, "drop_path": 0.0}  # in every column
_ACCURACIES = {"train_acc": "train_top1", "valid_acc": "valid_top1", "test_acc": "test_top1"}


def _params(run: GalaxyRun) -> dict[str, Value]:
    cells = run.corrected
    params: dict[str, Value] = {
        name: int(cells[column]) for column, name in _COLUMNS.items() if cells[column]
    }
    if cells["patch_size"]:
        params["grid"] = IMAGE_SIZE // int(cells["patch_size"])
    if cells["fine_tune"]:
        params["fine_tune"] = cells["fine_tune"] == "yes"
    params |= _TRAINED
    params["lr"], params["gamma"] = float(cells["lr"]), float(cells["gamma"])
    if cells["shared_kv"]:
        params["shared_kv"] = cells["shared_kv"] == "True"
    return params


def _results(run: GalaxyRun) -> dict[str, float]:
    results = {
        name: round(value / 100, 6)
        for column, name in _ACCURACIES.items()
        if (value := run.number(column)) is not None
    }
    if (count := run.number("n_params")) is not None:
        results["params"] = count
    if run.address in galaxy_gflops():
        results["gflops"] = galaxy_gflops()[run.address]
    return results


def points(model: str) -> tuple[Point, ...]:
    """Every distinct column of `model`, best validation accuracy first, those without it last."""
    found = [
        Point(
            run_id=run.run_id,
            address=run.address,
            params=_params(run),
            results=_results(run),
            image_size=IMAGE_SIZE,
            note="; ".join(run.corrections),
        )
        for run in galaxy_runs()
        if run.model == model and not run.duplicate_of
    ]
    return tuple(sorted(found, key=lambda point: -point.results.get("valid_top1", 0.0)))
