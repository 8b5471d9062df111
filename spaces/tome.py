"""ToMe in the plain shell: how many tokens each block merges."""

from spaces.rules import Divides
from spaces.space import Choice, Integer, Space
from spaces.wttf import SHELL, TRAINING, TRAINING_CONDITIONS, row

SPACE = Space(
    model="tome",
    family="Token Merging",
    params={
        **SHELL,
        "r": Integer(1, 64, log=True),
        "layer_scale": Choice((1e-4, 1e-2, 1.0)),
        **TRAINING,
    },
    fixed={"qkv_bias": True},
    rules=(Divides("grid", "image_size"), Divides("heads", "dim")),
    conditions=TRAINING_CONDITIONS,
    published=(row("ToMe-S-R-8/16", r=8, layer_scale=1e-4),),
    source="wttf_table6_cut.csv",
)
