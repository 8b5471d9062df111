"""HiViT: its grid of finest patches, sixteen of which become one token, its widths and depths.

WTTF prints no row of costs for it, so there is no published point.
"""

from spaces.rules import Divides
from spaces.space import Choice, Integer, Space
from spaces.wttf import TRAINING, TRAINING_CONDITIONS

SPACE = Space(
    model="hivit",
    family="More MLPs",
    params={
        "grid": Choice((28, 32, 48, 56, 64, 96)),
        "dim": Integer(48, 384, step=48),
        "heads": Choice((1, 2, 3, 4, 6)),
        "depth": Integer(1, 20),
        "early_depth": Integer(1, 3),
        "mlp_ratio": Choice((2.0, 3.0, 4.0)),
        "early_mlp_ratio": Choice((2.0, 3.0, 4.0)),
        **TRAINING,
    },
    rules=(Divides("grid", "image_size"), Divides("heads", "dim")),
    conditions=TRAINING_CONDITIONS,
    source="Zhang et al. 2023; accuracy in wttf_table3.csv, no row in wttf_table6.csv",
)
