"""Linformer as the galaxy paper searched it (its Tables 9 to 12)."""

from spaces.galaxy import points
from spaces.rules import AtMost, Divides
from spaces.space import Choice, Integer, Space
from spaces.wttf import TRAINING, TRAINING_CONDITIONS

SPACE = Space(
    model="linformer",
    family="Low-Rank Attention",
    params={
        "grid": Choice((7, 8, 14, 28)),
        "depth": Integer(4, 12),
        "dim": Integer(64, 512, step=64),
        "k_dim": Integer(4, 512, log=True),
        "shared_kv": Choice((False, True)),
        "heads": Choice((2, 4, 8, 16)),
        **TRAINING,
    },
    fixed={"dropout": 0.1},
    rules=(
        Divides("grid", "image_size"),
        Divides("heads", "dim"),
        AtMost("k_dim", "tokens"),
    ),
    conditions=TRAINING_CONDITIONS,
    published=points("linformer"),
    source="galaxy_runs.csv, Tables 9 to 12",
)
