"""SwiftFormer, by timm: channels and blocks of its stages, as multiples of the published ones."""

from spaces.space import Choice, Space
from spaces.wttf import TRAINING, TRAINING_CONDITIONS, whole_row

SPACE = Space(
    model="swiftformer",
    family="Non-Attention Shuffling",
    params={
        "width": Choice((0.25, 0.5, 0.75, 1.0, 1.5)),
        "depth": Choice((0.5, 1.0, 1.5)),
        **TRAINING,
    },
    conditions=TRAINING_CONDITIONS,
    published=(whole_row("SwiftFormer", width=1.0, depth=1.0),),
    source="wttf_table6.csv",
)
