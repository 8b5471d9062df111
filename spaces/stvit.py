"""STViT in Swin: the first stage's grid and width, depths, semantic tokens per side of a window."""

from spaces.rules import Divides
from spaces.space import Choice, Integer, Real, Space
from spaces.wttf import TRAINING, TRAINING_CONDITIONS, whole_row

SPACE = Space(
    model="stvit",
    family="Summary Tokens",
    params={
        "grid": Choice((14, 16, 24, 28, 32, 48, 56, 64, 96)),
        "dim": Integer(24, 96, step=24),
        "heads": Choice((1, 2, 3, 4, 6)),
        "depth": Integer(1, 3),
        "token_depth": Integer(1, 4),
        "window": Choice((4, 7, 12)),
        "samples": Integer(2, 4),
        "layer_scale": Real(1e-5, 1.0, log=True),
        **TRAINING,
    },
    rules=(Divides("grid", "image_size"), Divides("heads", "dim")),
    conditions=TRAINING_CONDITIONS,
    published=(
        whole_row(
            "STViT-Swin-Ti-W-7/4",
            grid=56,
            dim=96,
            heads=3,
            depth=2,
            token_depth=2,
            window=7,
            samples=3,
            layer_scale=1e-5,
        ),
    ),
    source="wttf_table6_cut.csv",
)
