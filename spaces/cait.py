"""CaiT, by timm: depth, width, heads, layers of class attention."""

from spaces.rules import Divides
from spaces.space import Choice, Integer, Space
from spaces.wttf import SHELL, TRAINING, TRAINING_CONDITIONS, row

SPACE = Space(
    model="cait",
    family="Summary Tokens",
    params={
        "grid": SHELL["grid"],
        "depth": Integer(2, 24),
        "dim": SHELL["dim"],
        "heads": SHELL["heads"],
        "class_depth": Integer(1, 3),
        "layer_scale": Choice((1e-5, 1e-3, 1e-1)),
        **TRAINING,
    },
    rules=(Divides("grid", "image_size"), Divides("heads", "dim")),
    conditions=TRAINING_CONDITIONS,
    published=(row("CaiT-S-24", depth=24, heads=8, class_depth=2, layer_scale=1e-5),),
    source="wttf_table6_cut.csv",
)
