"""MLP-Mixer, by timm: depth, width and the hidden widths of its two MLPs."""

from spaces.rules import Divides
from spaces.space import Choice, Integer, Space
from spaces.wttf import SHELL, TRAINING, TRAINING_CONDITIONS, whole_row

SPACE = Space(
    model="mixer",
    family="Non-Attention Shuffling",
    params={
        "grid": SHELL["grid"],
        "depth": Integer(2, 12),
        "dim": Integer(64, 768, step=64),
        "token_ratio": Choice((0.25, 0.5, 1.0)),
        "channel_ratio": Choice((2.0, 4.0)),
        **TRAINING,
    },
    rules=(Divides("grid", "image_size"),),
    conditions=TRAINING_CONDITIONS,
    published=(
        whole_row("Mixer-S/16", grid=14, depth=8, dim=512, token_ratio=0.5, channel_ratio=4.0),
    ),
    source="wttf_table6.csv",
)
