"""EViT in the plain shell: how many patches are left out, and when in training that begins."""

from spaces.conditions import NotIn
from spaces.rules import Divides
from spaces.space import Choice, Integer, Real, Space
from spaces.wttf import SHELL, TRAINING, TRAINING_CONDITIONS, row

_THINNED = (NotIn("keep_rate", (1.0,)),)  # else nothing is left out, at no time and nowhere
SPACE = Space(
    model="evit",
    family="Token Removal",
    params={
        **SHELL,
        "keep_rate": Real(0.3, 1.0),
        "stages": Integer(1, 4),
        "fuse": Choice((False, True)),
        "shrink_start": Real(0.0, 0.3),
        "shrink_share": Real(0.0, 0.7),
        **TRAINING,
    },
    fixed={"qkv_bias": True},
    rules=(Divides("grid", "image_size"), Divides("heads", "dim")),
    conditions={
        "stages": _THINNED,
        "fuse": _THINNED,
        "shrink_start": _THINNED,
        "shrink_share": _THINNED,
        **TRAINING_CONDITIONS,
    },
    # the rows kept every patch, whatever the schedule
    published=(
        row("EViT-S/16", keep_rate=1.0, stages=3, fuse=False, shrink_start=0.03, shrink_share=0.33),
        row(
            "EViT Fuse-S/16",
            keep_rate=1.0,
            stages=3,
            fuse=True,
            shrink_start=0.03,
            shrink_share=0.33,
        ),
    ),
    source="wttf_table6.csv",
)
