"""Linformer as the first seed searched it (its Tables 9 to 12)."""

from spaces.galaxy import points
from spaces.space import AtMost, Choice, Divides, Integer, Real, Space

SPACE = Space(
    model="linformer",
    params={
        "grid": Choice((7, 8, 14, 28)),
        "depth": Integer(4, 12),
        "dim": Integer(64, 512, step=64),
        "k_dim": Integer(4, 512, log=True),
        "shared_kv": Choice((False, True)),
        "heads": Choice((2, 4, 8, 16)),
        "lr": Real(1e-5, 3e-3, log=True),
        "step_size": Choice((1, 2, 3, 5, 10, 200)),
        "gamma": Choice((0.1, 0.5, 0.9, 1.0)),
        "batch_size": Choice((16, 32, 64, 128)),
    },
    fixed={"dropout": 0.1},
    rules=(
        Divides("grid", "image_size"),
        Divides("heads", "dim"),
        AtMost("k_dim", "tokens"),
    ),
    published=points("linformer"),
    source="galaxy_runs.csv, Tables 9 to 12",
)
