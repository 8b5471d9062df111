"""TokenLearner in the plain shell: how many tokens it learns, and after which share of the depth.

The published rows use the same blocks before and after it (`faithful`), which saves parameters.
"""

from spaces.rules import Divides
from spaces.space import Choice, Space
from spaces.wttf import SHELL, TRAINING, TRAINING_CONDITIONS, row

SPACE = Space(
    model="token_learner",
    family="Summary Tokens",
    params={
        **SHELL,
        "learned_tokens": Choice((4, 8, 16, 32)),
        "insert_share": Choice((0.25, 0.5, 0.75)),
        "faithful": Choice((False, True)),
        "layer_scale": Choice((1e-4, 1e-2, 1.0)),
        **TRAINING,
    },
    fixed={"qkv_bias": True},
    rules=(Divides("grid", "image_size"), Divides("heads", "dim")),
    conditions=TRAINING_CONDITIONS,
    published=(
        row(
            "Token Learner-8-75-S/16",
            learned_tokens=8,
            insert_share=0.75,
            faithful=True,
            layer_scale=1e-4,
        ),
        row(
            "Token Learner-8-50-S/16",
            learned_tokens=8,
            insert_share=0.5,
            faithful=True,
            layer_scale=1e-4,
        ),
    ),
    source="wttf_table6_cut.csv",
)
