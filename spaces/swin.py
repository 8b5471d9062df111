"""Swin, by timm: width, depth of its third stage, heads, window."""

from spaces.rules import Divides
from spaces.space import Choice, Space
from spaces.wttf import TRAINING, TRAINING_CONDITIONS, whole_row

_TINY = {"width": 96, "depth": 6, "head_dim": 32, "window": 7, "mlp_ratio": 4.0}
SPACE = Space(
    model="swin",
    family="Sparse Attention",
    params={
        "width": Choice((32, 64, 96, 128)),
        "depth": Choice((2, 4, 6, 12, 18)),
        "head_dim": Choice((16, 32)),
        "window": Choice((4, 7, 8, 12)),
        "mlp_ratio": Choice((2.0, 4.0)),
        **TRAINING,
    },
    rules=(Divides("head_dim", "width"), Divides(4, "image_size")),
    conditions=TRAINING_CONDITIONS,
    published=(
        whole_row("Swin-Ti-W/7/4", **_TINY),
        whole_row("Swin-S-W/7/4", **{**_TINY, "depth": 18}),
    ),
    source="wttf_table6.csv",
)
