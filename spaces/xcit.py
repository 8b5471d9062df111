"""XCiT, by timm: depth, width, heads and patch."""

from spaces.rules import Divides
from spaces.space import Choice, Integer, Space
from spaces.wttf import TRAINING, TRAINING_CONDITIONS, whole_row

SPACE = Space(
    model="xcit",
    family="Low-Rank Attention",
    params={
        "depth": Integer(2, 24),
        "dim": Integer(64, 512, step=64),
        "heads": Choice((1, 2, 4, 8)),
        "patch": Choice((8, 16)),
        "layer_scale": Choice((1e-5, 1e-2, 1.0)),
        **TRAINING,
    },
    rules=(Divides("patch", "image_size"), Divides("heads", "dim")),
    conditions=TRAINING_CONDITIONS,
    published=(whole_row("XCiT-S-12/16", depth=12, dim=384, heads=8, patch=16, layer_scale=1.0),),
    source="wttf_table6.csv",
)
