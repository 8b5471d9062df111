"""What was varied in the recorded trainings on `digits`, and what was held constant."""

from spaces.space import Integer, Real, Space

SPACE = Space(
    model="linformer",
    params={
        "depth": Integer(1, 3),
        "dim": Integer(8, 32, step=8),
        "lr": Real(1e-4, 3e-2, log=True),
        "weight_decay": Real(1e-4, 0.3, log=True),
        "dropout": Real(0.0, 0.4),
    },
    fixed={
        "grid": 4,
        "heads": 2,
        "k_dim": 8,
        "batch_size": 256,
        "schedule": "cosine",
        "warmup_share": 0.1,
    },
)
IMAGE_SIZE = 16
EPOCHS = 27
