"""ResNet, by timm: depth and width."""

from spaces.space import Choice, Space
from spaces.wttf import TRAINING, TRAINING_CONDITIONS, whole_row

SPACE = Space(
    model="resnet",
    family="Baseline",
    params={"depth": Choice((26, 50, 101)), "width": Choice((16, 32, 48, 64)), **TRAINING},
    conditions=TRAINING_CONDITIONS,
    published=(whole_row("ResNet50", depth=50, width=64),),
    source="wttf_table6.csv",
)
