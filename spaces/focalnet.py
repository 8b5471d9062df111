"""FocalNet, by timm: width, depth of its third stage, how far its context reaches."""

from spaces.space import Choice, Space
from spaces.wttf import TRAINING, TRAINING_CONDITIONS, whole_row

_TINY = {"width": 96, "depth": 6, "levels": 2, "focal_window": 3}
SPACE = Space(
    model="focalnet",
    family="Non-Attention Shuffling",
    params={
        "width": Choice((32, 64, 96, 128)),
        "depth": Choice((2, 4, 6, 12, 18)),
        "levels": Choice((1, 2, 3)),
        "focal_window": Choice((3, 5, 7)),
        **TRAINING,
    },
    conditions=TRAINING_CONDITIONS,
    published=(
        whole_row("FocalNet-Ti-Srf", **_TINY),
        whole_row("FocalNet-S-Srf", **{**_TINY, "depth": 18}),
    ),
    source="wttf_table6.csv",
)
