"""EfficientMod: width, depth and kernels of its stages, and how much attention they end with."""

from spaces.conditions import NotIn
from spaces.space import Choice, Integer, Space
from spaces.wttf import TRAINING, TRAINING_CONDITIONS, whole_row

SPACE = Space(
    model="efficientmod",
    family="Non-Attention Shuffling",
    params={
        "dim": Integer(8, 48, step=8),
        "depth": Integer(1, 6),
        "attention_depth": Integer(0, 6),
        "heads": Choice((1, 2, 4, 8)),
        "expansion": Choice((2, 4, 6, 8)),
        "kernel_size": Choice((3, 5, 7, 9)),
        **TRAINING,
    },
    conditions={"heads": (NotIn("attention_depth", (0,)),), **TRAINING_CONDITIONS},
    published=(
        whole_row(
            "Efficient Mod-S",
            dim=32,
            depth=4,
            attention_depth=4,
            heads=8,
            expansion=6,
            kernel_size=7,
        ),
    ),
    source="wttf_table6.csv",
)
