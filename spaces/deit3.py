"""DeiT III: the plain ViT with LayerScale, by timm."""

from spaces.rules import Divides
from spaces.space import Choice, Space
from spaces.wttf import SHELL, TRAINING, TRAINING_CONDITIONS, row

SPACE = Space(
    model="deit3",
    family="Baseline",
    params={**SHELL, "layer_scale": Choice((1e-6, 1e-4, 1e-2, 1.0)), **TRAINING},
    rules=(Divides("grid", "image_size"), Divides("heads", "dim")),
    conditions=TRAINING_CONDITIONS,
    published=(row("DeiT-S/16", layer_scale=1e-6),),
    source="wttf_table6.csv",
)
