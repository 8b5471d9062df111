"""A-ViT in the plain shell: when a token halts, and the penalty for going on."""

from spaces.rules import Divides
from spaces.space import Real, Space
from spaces.wttf import SHELL, TRAINING, TRAINING_CONDITIONS

SPACE = Space(
    model="avit",
    family="Token Removal",
    params={
        **SHELL,
        "gate_scale": Real(1.0, 100.0, log=True),
        "gate_center": Real(1.0, 10.0),
        "target_share": Real(0.25, 1.0),
        "ponder_weight": Real(1e-4, 0.1, log=True),
        "prior_weight": Real(1e-3, 0.1, log=True),
        **TRAINING,
    },
    fixed={"qkv_bias": True},
    rules=(Divides("grid", "image_size"), Divides("heads", "dim")),
    conditions=TRAINING_CONDITIONS,
    source="Yin et al. 2022; WTTF has no row",
)
