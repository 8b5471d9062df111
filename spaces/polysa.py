"""PolySA in the plain shell: a third-order polynomial in place of softmax attention."""

from spaces.rules import Divides
from spaces.space import Choice, Space
from spaces.wttf import SHELL, TRAINING, TRAINING_CONDITIONS, row

SPACE = Space(
    model="polysa",
    family="Kernel Attention",
    params={
        **SHELL,
        "layer_scale": Choice((1e-4, 1e-2, 1.0)),
        **TRAINING,
    },
    rules=(Divides("grid", "image_size"), Divides("heads", "dim")),
    conditions=TRAINING_CONDITIONS,
    published=(row("PolySA-S/16", layer_scale=1e-4),),
    source="wttf_table6.csv",
)
