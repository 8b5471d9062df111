"""Hydra attention, whose heads are its channels, in the plain shell."""

from spaces.rules import Divides
from spaces.space import Choice, Space
from spaces.wttf import SHELL, TRAINING, TRAINING_CONDITIONS, row

SPACE = Space(
    model="hydra",
    family="Kernel Attention",
    params={
        "grid": SHELL["grid"],
        "depth": SHELL["depth"],
        "dim": SHELL["dim"],
        "layer_scale": Choice((1e-4, 1e-2, 1.0)),
        **TRAINING,
    },
    fixed={"heads": 1},  # has no meaning here
    rules=(Divides("grid", "image_size"),),
    conditions=TRAINING_CONDITIONS,
    published=(row("Hydra-S/16", heads=None, layer_scale=1e-4),),
    source="wttf_table6.csv",
)
