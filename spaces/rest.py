"""ResT: width, heads and depth of its four stages."""

from spaces.rules import Divides
from spaces.space import Choice, Integer, Space
from spaces.wttf import TRAINING, TRAINING_CONDITIONS, whole_row

SPACE = Space(
    model="rest",
    family="Hybrid Attention",
    params={
        "width": Choice((16, 32, 48, 64, 96)),
        "heads": Choice((1, 2, 4)),
        "depth_1": Integer(1, 3),
        "depth_2": Integer(1, 4),
        "depth_3": Integer(1, 18),
        "depth_4": Integer(1, 3),
        "mlp_ratio": Choice((2.0, 4.0)),
        **TRAINING,
    },
    rules=(Divides("heads", "width"),),
    conditions=TRAINING_CONDITIONS,
    published=(
        whole_row(
            "ResT-S",
            width=64,
            heads=1,
            depth_1=2,
            depth_2=2,
            depth_3=6,
            depth_4=2,
            mlp_ratio=4.0,
        ),
    ),
    source="wttf_table6.csv",
)
