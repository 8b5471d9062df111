"""Counts what the galaxy paper's ViT and Linformer columns cost, which was never published.

    python tests/benchmarks/galaxy_costs.py > spaces/published/galaxy_costs.csv

The models are built as published: 224 px, eight classes. `tests/spaces/test_galaxy_costs.py` holds
the file to what is counted.
"""

import csv
import sys

from spaces.published import galaxy_runs
from trainables import models
from trainables.efficiency import count

IMAGE_SIZE = 224
CLASSES = 8


def main() -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(("address", "gflops", "gmacs"))
    for run in galaxy_runs():
        if run.model in ("vit", "linformer") and not run.duplicate_of:
            params = models.published(run.model)[run.run_id]
            model = models.build(run.model, params, image_size=IMAGE_SIZE, num_classes=CLASSES)
            cost = count(model, IMAGE_SIZE)
            if cost.uncounted:
                raise SystemExit(f"{run.address}: no rule counts {', '.join(cost.uncounted)}")
            writer.writerow((run.address, f"{cost.gflops:.6f}", f"{cost.gmacs:.6f}"))


if __name__ == "__main__":
    main()
