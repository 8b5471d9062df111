"""ViT as the galaxy paper searched it: 64-wide heads whatever the width (its Tables 1 to 5)."""

from spaces.galaxy import points
from spaces.rules import Divides
from spaces.space import Choice, Integer, Space
from spaces.wttf import TRAINING, TRAINING_CONDITIONS

SPACE = Space(
    model="vit",
    family="Baseline",
    params={
        "grid": Choice((7, 8, 14, 28)),
        "depth": Integer(4, 12),
        "dim": Integer(64, 1024, step=64),
        "mlp_dim": Choice((16, 32, 64, 128, 256, 512, 1024, 2048, 3072)),
        "heads": Choice((2, 4, 8, 12, 16)),
        **TRAINING,
    },
    fixed={"dim_head": 64, "dropout": 0.1, "emb_dropout": 0.1},
    rules=(Divides("grid", "image_size"),),
    conditions=TRAINING_CONDITIONS,
    published=points("vit"),
    source="galaxy_runs.csv, Tables 1 to 5",
)
