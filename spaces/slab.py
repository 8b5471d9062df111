"""SLAB in the plain shell: its local convolution, and how long training still uses LayerNorm."""

from spaces.rules import Divides
from spaces.space import Choice, Real, Space
from spaces.wttf import SHELL, TRAINING, TRAINING_CONDITIONS, row

SPACE = Space(
    model="slab",
    family="Kernel Attention",
    params={
        **SHELL,
        "kernel_size": Choice((3, 5, 7)),
        "blend_share": Real(0.05, 1.0),
        "layer_scale": Choice((1e-4, 1e-2, 1.0)),
        **TRAINING,
    },
    rules=(Divides("grid", "image_size"), Divides("heads", "dim")),
    conditions=TRAINING_CONDITIONS,
    # the row has 60,000 of roughly 600,000 steps, pre-training included
    published=(row("SLAB-S/16", kernel_size=5, blend_share=0.1, layer_scale=1e-4),),
    source="wttf_table6.csv",
)
