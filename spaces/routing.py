"""Routing attention in the plain shell; the smallest grid has 50 tokens.

Trials are shorter than the paper's training, so the centroids may also move faster.
"""

from spaces.rules import Divides
from spaces.space import Choice, Integer, Space
from spaces.wttf import SHELL, TRAINING, TRAINING_CONDITIONS, row

SPACE = Space(
    model="routing",
    family="Sparse Attention",
    params={
        **SHELL,
        "clusters": Integer(4, 32, log=True),
        "decay": Choice((0.9, 0.99, 0.999)),
        "commitment": Choice((0.0, 1e-4, 1e-2, 1.0)),
        "layer_scale": Choice((1e-4, 1e-2, 1.0)),
        **TRAINING,
    },
    rules=(Divides("grid", "image_size"), Divides("heads", "dim")),
    conditions=TRAINING_CONDITIONS,
    published=(
        row("Routing ViT-S/16", clusters=15, decay=0.999, commitment=1e-4, layer_scale=1e-4),
    ),
    source="wttf_table6.csv",
)
