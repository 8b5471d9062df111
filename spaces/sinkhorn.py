"""Sparse Sinkhorn attention in the shell of CaiT.

The published row had no permutation, so `iterations` and `temperature` had no effect in it.
"""

from spaces.conditions import AnyOf, NotIn
from spaces.rules import Divides
from spaces.space import Choice, Integer, Real, Space
from spaces.wttf import SHELL, TRAINING, TRAINING_CONDITIONS, row

# a single bucket has nothing to be sorted
_BUCKETS = (AnyOf((NotIn("bucket_max", (64,)), NotIn("grid", (7, 8)))),)
SPACE = Space(
    model="sinkhorn",
    family="Sparse Attention",
    params={
        **SHELL,
        "class_depth": Integer(1, 3),
        "bucket_max": Choice((8, 16, 32, 64)),
        "iterations": Integer(1, 16),
        "temperature": Real(0.25, 2.0, log=True),
        "layer_scale": Choice((1e-4, 1e-2, 1.0)),
        **TRAINING,
    },
    rules=(Divides("grid", "image_size"), Divides("heads", "dim")),
    conditions={"iterations": _BUCKETS, "temperature": _BUCKETS, **TRAINING_CONDITIONS},
    published=(
        row(
            "Sinkhorn CaiT-S-Bmax-32/16",
            class_depth=2,
            bucket_max=32,
            iterations=8,
            temperature=0.75,
            layer_scale=1e-4,
        ),
    ),
    source="wttf_table6.csv",
)
