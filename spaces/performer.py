"""Performer in the plain shell."""

from spaces.rules import Divides
from spaces.space import Choice, Space
from spaces.wttf import SHELL, TRAINING, TRAINING_CONDITIONS

SPACE = Space(
    model="performer",
    family="Kernel Attention",
    params={
        **SHELL,
        "features": Choice((32, 64, 128, 256)),
        "layer_scale": Choice((1e-4, 1e-2, 1.0)),
        **TRAINING,
    },
    rules=(Divides("grid", "image_size"), Divides("heads", "dim")),
    conditions=TRAINING_CONDITIONS,
    source="Choromanski et al. 2021; WTTF could not train it and has no row",
)
