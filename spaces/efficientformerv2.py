"""EfficientFormerV2, by timm: channels and blocks of its stages, relative to the published ones."""

from spaces.rules import Divides
from spaces.space import Choice, Space
from spaces.wttf import TRAINING, TRAINING_CONDITIONS, whole_row

SPACE = Space(
    model="efficientformerv2",
    family="Hybrid Attention",
    params={
        "width": Choice((0.25, 0.5, 0.75, 1.0, 1.5)),
        "depth": Choice((0.5, 1.0, 1.5)),
        **TRAINING,
    },
    rules=(Divides(32, "image_size"),),
    conditions=TRAINING_CONDITIONS,
    published=(whole_row("EfficientFormerV2-S0", width=1.0, depth=1.0),),
    source="wttf_table6.csv",
)
