"""Nyströmformer in the plain shell."""

from spaces.rules import AtMost, Divides
from spaces.space import Choice, Integer, Space
from spaces.wttf import SHELL, TRAINING, TRAINING_CONDITIONS, row

SPACE = Space(
    model="nystromformer",
    family="Low-Rank Attention",
    params={
        **SHELL,
        "landmarks": Integer(4, 128, log=True),
        "value_skip": Choice((False, True)),
        **TRAINING,
    },
    rules=(
        Divides("grid", "image_size"),
        Divides("heads", "dim"),
        AtMost("landmarks", "tokens"),
    ),
    conditions=TRAINING_CONDITIONS,
    published=(
        row("Nystrom ViT-64-S/16", landmarks=64, value_skip=True),
        row("Nystrom ViT-32-S/16", landmarks=32, value_skip=True),
    ),
    source="wttf_table6.csv",
)
