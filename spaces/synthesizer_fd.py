"""Factorised dense Synthesizer in the plain shell; the smallest grid has 50 tokens."""

from spaces.rules import Divides
from spaces.space import Choice, Integer, Space
from spaces.wttf import SHELL, TRAINING, TRAINING_CONDITIONS, row

SPACE = Space(
    model="synthesizer_fd",
    family="Fixed Attention",
    params={
        **SHELL,
        "rows": Integer(2, 48, log=True),
        "layer_scale": Choice((1e-4, 1e-2, 1.0)),
        **TRAINING,
    },
    rules=(Divides("grid", "image_size"), Divides("heads", "dim")),
    conditions=TRAINING_CONDITIONS,
    published=(row("Synthesizer FD-S/16", rows=14, layer_scale=1e-4),),
    source="wttf_table6.csv",
)
