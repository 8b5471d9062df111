"""Wave-ViT: width of its heads, depth of its four stages, width of its MLPs."""

from spaces.space import Choice, Integer, Space
from spaces.wttf import TRAINING, TRAINING_CONDITIONS, whole_row

SPACE = Space(
    model="wavevit",
    family="Sparse Attention",
    params={
        "dim_head": Choice((8, 16, 24, 32)),
        "depth_1": Integer(1, 3),
        "depth_2": Integer(1, 4),
        "depth_3": Integer(1, 12),
        "depth_4": Integer(1, 3),
        "mlp_scale": Choice((0.25, 0.5, 1.0)),
        **TRAINING,
    },
    conditions=TRAINING_CONDITIONS,
    published=(
        whole_row(
            "WaveViT-S",
            dim_head=32,
            depth_1=3,
            depth_2=4,
            depth_3=6,
            depth_4=3,
            mlp_scale=1.0,
        ),
    ),
    source="wttf_table6.csv",
)
