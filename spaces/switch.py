"""Switch Transformer in the plain shell: experts and the weight of their balance."""

from spaces.rules import Divides
from spaces.space import Choice, Real, Space
from spaces.wttf import SHELL, TRAINING, TRAINING_CONDITIONS, row

SPACE = Space(
    model="switch",
    family="More MLPs",
    params={
        **SHELL,
        "experts": Choice((2, 4, 8, 16)),
        "balance_weight": Real(1e-3, 1.0, log=True),
        "layer_scale": Choice((1e-4, 1e-2, 1.0)),
        **TRAINING,
    },
    fixed={"qkv_bias": True},
    rules=(Divides("grid", "image_size"), Divides("heads", "dim")),
    conditions=TRAINING_CONDITIONS,
    published=(row("Switch ViT-8-S/16", experts=8, balance_weight=1.0, layer_scale=1e-4),),
    source="wttf_table6_cut.csv",
)
