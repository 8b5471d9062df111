"""DynamicViT in the plain shell: how many patches its predictors keep, and how strict they are."""

from spaces.rules import Divides
from spaces.space import Integer, Real, Space
from spaces.wttf import SHELL, TRAINING, TRAINING_CONDITIONS, row

SPACE = Space(
    model="dynamicvit",
    family="Token Removal",
    params={
        **SHELL,
        "keep_rate": Real(0.5, 1.0),
        "stages": Integer(1, 4),
        "ratio_weight": Real(0.1, 10.0, log=True),
        **TRAINING,
    },
    fixed={"qkv_bias": True},
    rules=(Divides("grid", "image_size"), Divides("heads", "dim")),
    conditions=TRAINING_CONDITIONS,
    # the row had no loss of the shares, so its training and evaluation kept different shares
    published=(row("Dynamic ViT-S/16", keep_rate=0.9, stages=3, ratio_weight=2.0),),
    source="wttf_table6.csv",
)
