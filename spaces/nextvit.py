"""Next-ViT, by timm: groups of its third stage, and how its attention blocks divide channels."""

from spaces.space import Choice, Space
from spaces.wttf import TRAINING, TRAINING_CONDITIONS, whole_row

SPACE = Space(
    model="nextvit",
    family="Hybrid Attention",
    params={"groups": Choice((1, 2, 4)), "mix_ratio": Choice((0.25, 0.5, 0.75)), **TRAINING},
    conditions=TRAINING_CONDITIONS,
    published=(whole_row("NextViT-S", groups=2, mix_ratio=0.75),),
    source="wttf_table6.csv",
)
