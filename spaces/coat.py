"""CoaT, by timm: width, and the numbers of blocks along a scale and across the scales."""

from spaces.rules import Divides
from spaces.space import Choice, Integer, Space
from spaces.wttf import TRAINING, TRAINING_CONDITIONS, whole_row

SPACE = Space(
    model="coat",
    family="Hybrid Attention",
    params={
        "dim": Choice((32, 64, 96, 152)),
        "serial_depth": Integer(1, 3),
        "parallel_depth": Integer(1, 6),
        "heads": Choice((4, 8)),
        "mlp_ratio": Choice((2.0, 4.0)),
        **TRAINING,
    },
    rules=(Divides(32, "image_size"), Divides("heads", "dim")),
    conditions=TRAINING_CONDITIONS,
    published=(
        whole_row("Coat-Ti", dim=152, serial_depth=2, parallel_depth=6, heads=8, mlp_ratio=4.0),
    ),
    source="wttf_table6.csv",
)
