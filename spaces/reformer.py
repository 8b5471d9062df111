"""Reformer in the plain shell; with images, few hashes and small buckets save time."""

from spaces.rules import AtMost, Divides
from spaces.space import Choice, Space
from spaces.wttf import SHELL, TRAINING, TRAINING_CONDITIONS

SPACE = Space(
    model="reformer",
    family="Sparse Attention",
    params={
        **SHELL,
        "bucket_size": Choice((8, 16, 32, 64)),
        "hashes": Choice((1, 2, 4, 8)),
        **TRAINING,
    },
    rules=(
        Divides("grid", "image_size"),
        Divides("heads", "dim"),
        AtMost("bucket_size", "tokens"),
    ),
    conditions=TRAINING_CONDITIONS,
    source="Kitaev et al. 2020; WTTF could not train it and has no row",
)
