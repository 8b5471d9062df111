"""CvT: width, heads and depth of its three stages, and how many keys and values they keep."""

from spaces.rules import Divides
from spaces.space import Choice, Integer, Space
from spaces.wttf import TRAINING, TRAINING_CONDITIONS, whole_row

SPACE = Space(
    model="cvt",
    family="Hybrid Attention",
    params={
        "width": Choice((16, 32, 48, 64)),
        "heads": Choice((1, 2, 4)),
        "depth_1": Integer(1, 2),
        "depth_2": Integer(1, 4),
        "depth_3": Integer(1, 16),
        "mlp_ratio": Choice((2.0, 4.0)),
        "kv_stride": Choice((1, 2, 4)),
        **TRAINING,
    },
    rules=(Divides("heads", "width"),),
    conditions=TRAINING_CONDITIONS,
    published=(
        whole_row(
            "CvT-13",
            width=64,
            heads=1,
            depth_1=1,
            depth_2=2,
            depth_3=10,
            mlp_ratio=4.0,
            kv_stride=2,
        ),
    ),
    source="wttf_table6.csv",
)
