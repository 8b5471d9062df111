"""Informer in the shell that has its norms behind the branches."""

from spaces.rules import Divides
from spaces.space import Integer, Space
from spaces.wttf import SHELL, TRAINING, TRAINING_CONDITIONS, row

SPACE = Space(
    model="informer",
    family="Sparse Attention",
    params={**SHELL, "factor": Integer(1, 10), **TRAINING},
    rules=(Divides("grid", "image_size"), Divides("heads", "dim")),
    conditions=TRAINING_CONDITIONS,
    published=(row("Inform-S/16", factor=5, drop_path=0.0),),
    source="wttf_table6.csv",
)
