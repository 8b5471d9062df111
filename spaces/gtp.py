"""GTP in the plain shell: how many patches each block removes, and what is kept of them."""

from spaces.conditions import NotIn
from spaces.rules import Divides
from spaces.space import Choice, Real, Space
from spaces.wttf import SHELL, TRAINING, TRAINING_CONDITIONS

SPACE = Space(
    model="gtp",
    family="Token Merging",
    params={
        **SHELL,
        "propagated": Choice((2, 4, 8, 12, 16)),
        "theta": Real(0.3, 1.0),
        "alpha": Real(0.0, 1.0),
        "neighbours": Choice((0, 4, 8, 16)),
        **TRAINING,
    },
    fixed={"qkv_bias": True},
    rules=(Divides("grid", "image_size"), Divides("heads", "dim")),
    conditions={"neighbours": (NotIn("alpha", (0.0,)),), **TRAINING_CONDITIONS},
    source="Xu et al. 2024; WTTF has no row",
)
